"""What events tell."""

from __future__ import annotations

from tests.simulation.examples import shows
from tests.simulation.made_history import LEASE, Tale
from trioq._core import events
from trioq._core.lifecycle import Cancel, Complete, Expire, Reclaim, step
from trioq.backends._base import Verdict
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import Refused
from trioq.testing.simulation.plan import Verb


@shows(rules.an_event_tells_what_was_stored)
def a_completion_is_told_before_it_is_stored(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").store("w1.1", "j1", Complete(b"1"))
    if wrong:
        tale.entries[-2:] = reversed(tale.entries[-2:])


@shows(rules.an_event_tells_what_was_stored)
def a_lost_settle_is_told_as_completed(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").run("w1.1", "j1")
    if wrong:
        tale.tell("w1.1", events.JobFailed, "j1")


@shows(rules.no_step_is_told_twice)
def a_completion_is_told_twice(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").run("w1.1", "j1")
    if wrong:
        tale.tell("w1.1", events.JobCompleted, "j1")


@shows(rules.no_step_is_told_twice)
def somebody_else_tells(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").cancel("j1").tell("w2.1" if wrong else "w1.1", events.JobCancelled, "j1")


@shows(rules.what_is_stored_is_told)
def a_completion_is_not_told(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").store("w1.1", "j1", Complete(b"1"), told=not wrong)
    tale.at(20).heal()


@shows(rules.what_is_stored_is_told)
def who_dies_tells_nothing(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").store("w1.1", "j1", Complete(b"1"), told=False).at(0.5)
    (tale.stop if wrong else tale.die)("w1.1").at(20).heal()


@shows(rules.what_is_stored_is_told)
def who_sweeps_may_not_hear_what_it_did(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1", ttl=2.0).run("w1.1", "j1").requeue("j1").at(20)
    tale.store("w1.1", "j1", Expire(), told=False).hurt("w2.1" if wrong else "w1.1", "settle", 0.0)
    tale.at(40).stop("w1.1")


@shows(rules.what_is_answered_was_told)
def a_cancel_is_not_told(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1")
    act = tale.ask(Verb.CANCEL, "j1")
    tale.store("c1", "j1", Cancel(), told=not wrong).answer(act, True)


@shows(rules.every_handler_is_told)
def a_start_is_not_told(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").claim("w1.1", "j1").begin("w1.1", "j1", told=not wrong)


@shows(rules.every_handler_is_told)
def a_start_is_told_twice(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1")
    if wrong:
        tale.tell("w1.1", events.JobStarted, "j1")


@shows(rules.what_is_lost_is_told)
def a_job_is_lost_in_silence(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").at(LEASE)
    change = step(tale.records["j1"], Complete(b"1"), tale.now)
    tale.store("w2.1", "j1", Reclaim()).end("w1.1", "j1")
    tale.add(Refused(tale.now, "w1.1", change, Verdict.STALE, tale.records["j1"]))
    if not wrong:
        tale.lose("w1.1", "j1")
    tale.at(30).heal()


@shows(rules.what_is_lost_is_told)
def a_handler_that_shields_itself_from_its_timeout_keeps_a_cancel_from_being_told(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1", timeout=5.0 if wrong else 1.0).take("w1.1", "j1").at(2).cancel("j1").at(40).end("w1.1", "j1")
    tale.at(45).heal()


@shows(rules.what_is_lost_is_told)
def who_stops_tells_what_it_has_lost(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").at(LEASE).store("w2.1", "j1", Reclaim()).end("w1.1", "j1", "cancelled")
    tale.stop("w1.1", unsettled=() if wrong else ("j1",))


@shows(rules.what_is_lost_is_told)
def a_worker_is_told_of_a_cancel_and_tells_nobody(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").cancel("j1")
    if not wrong:
        tale.tell("w1.1", events.JobCancelled, "j1")
    tale.end("w1.1", "j1", "cancelled").stop("w1.1")


@shows(rules.what_is_lost_is_told)
def a_job_is_cancelled_when_it_has_been_taken_away(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").at(LEASE).store("w2.1", "j1", Reclaim()).cancel("j1")
    if not wrong:
        tale.tell("w1.1", events.JobCancelled, "j1")
    tale.end("w1.1", "j1", "cancelled").stop("w1.1")


@shows(rules.what_is_told_as_lost_is_lost)
def a_job_is_given_up_too_soon(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").at(LEASE)
    if not wrong:
        tale.store("w2.1", "j1", Reclaim())
    tale.lose("w1.1", "j1")


@shows(rules.what_is_told_as_lost_is_lost)
def a_job_is_lost_twice(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").at(LEASE).store("w2.1", "j1", Reclaim()).lose("w1.1", "j1")
    if wrong:
        tale.lose("w1.1", "j1")


@shows(rules.what_is_told_as_lost_is_lost)
def a_job_is_lost_by_who_has_settled_it(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").store("w1.1", "j1", Complete(b"1"), told=False)
    if not wrong:
        tale.at(2).hurt("w1.1", "settle")
    tale.requeue("j1").lose("w1.1", "j1")


@shows(rules.outages_and_shifts_are_told_in_turn)
def an_outage_begins_twice(tale: Tale, wrong: bool) -> None:
    tale.tell_of_worker("w1.1", events.BackendLost, error="away")
    if not wrong:
        tale.tell_of_worker("w1.1", events.BackendRecovered, outage=1.0)
    tale.tell_of_worker("w1.1", events.BackendLost, error="away")


@shows(rules.outages_and_shifts_are_told_in_turn)
def an_outage_ends_that_never_began(tale: Tale, wrong: bool) -> None:
    if not wrong:
        tale.tell_of_worker("w1.1", events.BackendLost, error="away")
    tale.tell_of_worker("w1.1", events.BackendRecovered, outage=1.0)


@shows(rules.outages_and_shifts_are_told_in_turn)
def a_worker_drains_before_it_starts(tale: Tale, wrong: bool) -> None:
    if wrong:
        del tale.entries[1]
    tale.stop("w1.1")


@shows(rules.outages_and_shifts_are_told_in_turn)
def a_worker_tells_something_after_its_end(tale: Tale, wrong: bool) -> None:
    tale.stop("w1.1").tell_of_worker("w1.1" if wrong else "w2.1", events.BackendLost, error="away")


@shows(rules.outages_and_shifts_are_told_in_turn)
def a_worker_drains_twice(tale: Tale, wrong: bool) -> None:
    if wrong:
        tale.tell_of_worker("w1.1", events.WorkerDraining, grace=5.0)
    tale.stop("w1.1")
