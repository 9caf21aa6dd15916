"""What events tell."""

from __future__ import annotations

from tests.simulation.examples import shows
from tests.simulation.made_history import LEASE, MadeHistory
from trioq._core import events
from trioq._core.lifecycle import Cancel, Complete, Expire, Reclaim, step
from trioq.backends._base import Verdict
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import Refused
from trioq.testing.simulation.plan import Verb


@shows(rules.an_event_tells_what_was_stored)
def a_completion_is_told_before_it_is_stored(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").store("w1.1", "j1", Complete(b"1"))
    if wrong:
        made.entries[-2:] = reversed(made.entries[-2:])


@shows(rules.an_event_tells_what_was_stored)
def a_lost_settle_is_told_as_completed(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").run("w1.1", "j1")
    if wrong:
        made.tell("w1.1", events.JobFailed, "j1")


@shows(rules.no_step_is_told_twice)
def a_completion_is_told_twice(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").run("w1.1", "j1")
    if wrong:
        made.tell("w1.1", events.JobCompleted, "j1")


@shows(rules.no_step_is_told_twice)
def another_worker_tells(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").cancel("j1").tell("w2.1" if wrong else "w1.1", events.JobCancelled, "j1")


@shows(rules.what_is_stored_is_told)
def a_completion_is_not_told(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").store("w1.1", "j1", Complete(b"1"), told=not wrong)
    made.at(20).heal()


@shows(rules.what_is_stored_is_told)
def who_dies_tells_nothing(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").store("w1.1", "j1", Complete(b"1"), told=False).at(0.5)
    (made.stop if wrong else made.die)("w1.1").at(20).heal()


@shows(rules.what_is_stored_is_told)
def a_worker_that_sweeps_may_not_learn_what_it_did(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", ttl=2.0).run("w1.1", "j1").requeue("j1").at(20)
    made.store("w1.1", "j1", Expire(), told=False).hurt("w2.1" if wrong else "w1.1", "settle", 0.0)
    made.at(40).stop("w1.1")


@shows(rules.what_is_answered_was_told)
def a_cancel_is_not_told(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1")
    operation = made.ask(Verb.CANCEL, "j1")
    made.store("c1", "j1", Cancel(), told=not wrong).answer(operation, True)


@shows(rules.every_handler_is_told)
def a_start_is_not_told(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").claim("w1.1", "j1").begin("w1.1", "j1", told=not wrong)


@shows(rules.every_handler_is_told)
def a_start_is_told_twice(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1")
    if wrong:
        made.tell("w1.1", events.JobStarted, "j1")


@shows(rules.what_is_lost_is_told)
def a_job_is_lost_in_silence(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(LEASE)
    change = step(made.records["j1"], Complete(b"1"), made.now)
    made.store("w2.1", "j1", Reclaim()).end("w1.1", "j1")
    made.add(Refused(made.now, "w1.1", change, Verdict.STALE, made.records["j1"]))
    if not wrong:
        made.lose("w1.1", "j1")
    made.at(30).heal()


@shows(rules.what_is_lost_is_told)
def a_handler_that_shields_itself_from_its_timeout_keeps_a_cancel_from_being_told(
    made: MadeHistory, wrong: bool
) -> None:
    made.enqueue("j1", timeout=5.0 if wrong else 1.0).take("w1.1", "j1").at(2).cancel("j1").at(40).end("w1.1", "j1")
    made.at(45).heal()


@shows(rules.what_is_lost_is_told)
def who_stops_tells_what_it_has_lost(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(LEASE).store("w2.1", "j1", Reclaim()).end("w1.1", "j1", "cancelled")
    made.stop("w1.1", unsettled=() if wrong else ("j1",))


@shows(rules.what_is_lost_is_told)
def a_worker_knows_of_a_cancel_and_tells_nothing(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").cancel("j1")
    if not wrong:
        made.tell("w1.1", events.JobCancelled, "j1")
    made.end("w1.1", "j1", "cancelled").stop("w1.1")


@shows(rules.what_is_lost_is_told)
def a_job_is_cancelled_when_it_has_been_taken_away(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(LEASE).store("w2.1", "j1", Reclaim()).cancel("j1")
    if not wrong:
        made.tell("w1.1", events.JobCancelled, "j1")
    made.end("w1.1", "j1", "cancelled").stop("w1.1")


@shows(rules.what_is_told_as_lost_is_lost)
def a_job_is_given_up_too_soon(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(LEASE)
    if not wrong:
        made.store("w2.1", "j1", Reclaim())
    made.lose("w1.1", "j1")


@shows(rules.what_is_told_as_lost_is_lost)
def a_job_is_lost_twice(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(LEASE).store("w2.1", "j1", Reclaim()).lose("w1.1", "j1")
    if wrong:
        made.lose("w1.1", "j1")


@shows(rules.what_is_told_as_lost_is_lost)
def a_job_is_lost_by_who_has_settled_it(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").store("w1.1", "j1", Complete(b"1"), told=False)
    if not wrong:
        made.at(2).hurt("w1.1", "settle")
    made.requeue("j1").lose("w1.1", "j1")


@shows(rules.outages_and_worker_states_are_told_in_order)
def an_outage_begins_twice(made: MadeHistory, wrong: bool) -> None:
    made.tell_of_worker("w1.1", events.BackendLost, error="away")
    if not wrong:
        made.tell_of_worker("w1.1", events.BackendRecovered, outage=1.0)
    made.tell_of_worker("w1.1", events.BackendLost, error="away")


@shows(rules.outages_and_worker_states_are_told_in_order)
def an_outage_ends_that_never_began(made: MadeHistory, wrong: bool) -> None:
    if not wrong:
        made.tell_of_worker("w1.1", events.BackendLost, error="away")
    made.tell_of_worker("w1.1", events.BackendRecovered, outage=1.0)


@shows(rules.outages_and_worker_states_are_told_in_order)
def a_worker_drains_before_it_starts(made: MadeHistory, wrong: bool) -> None:
    if wrong:
        del made.entries[1]
    made.stop("w1.1")


@shows(rules.outages_and_worker_states_are_told_in_order)
def a_worker_tells_something_after_its_end(made: MadeHistory, wrong: bool) -> None:
    made.stop("w1.1").tell_of_worker("w1.1" if wrong else "w2.1", events.BackendLost, error="away")


@shows(rules.outages_and_worker_states_are_told_in_order)
def a_worker_drains_twice(made: MadeHistory, wrong: bool) -> None:
    if wrong:
        made.tell_of_worker("w1.1", events.WorkerDraining, grace=5.0)
    made.stop("w1.1")
