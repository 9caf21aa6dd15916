"""What must be true of records, and of what is handed out."""

from __future__ import annotations

import attrs

from tests.simulation.examples import shows
from tests.simulation.made_history import BEGAN, LEASE, MadeHistory
from trioq._core.job import State
from trioq._core.lifecycle import Complete, Fail, Reclaim, Release, Requeue
from trioq.backends._base import Verdict
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import Claimed, History, Inserted, Refused, Stored
from trioq.testing.simulation.plan import Verb


@shows(rules.nothing_acknowledged_is_lost)
def a_record_is_gone(made: MadeHistory, wrong: bool) -> History:
    made.enqueue("j1")
    return made.history(records={} if wrong else made.records)


@shows(rules.what_is_stored_was_asked_for)
def another_client_enqueues(made: MadeHistory, wrong: bool) -> None:
    operation = made.ask(Verb.ENQUEUE, "j1")
    made.at(1).insert("j1", by="c2" if wrong else "c1").at(2).answer(operation, ("j1", True))


@shows(rules.what_is_stored_was_asked_for)
def a_repeated_enqueue_makes_another_record(made: MadeHistory, wrong: bool) -> None:
    operation = made.ask(Verb.ENQUEUE, "j1")
    made.insert("j1").forsake(operation).at(2)
    operation = made.ask(Verb.ENQUEUE, "j1")
    if wrong:
        made.insert("j1")
    made.answer(operation, ("j1", False))


@shows(rules.a_new_record_is_as_ordered)
def a_ttl_is_a_tick_longer(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", delay=1.0, ttl=3.0)
    [number] = [n for n, entry in enumerate(made.entries) if isinstance(entry, Inserted)]
    job = made.records["j1"].having({"expires_at": BEGAN + 3 + (1 / 64 if wrong else 0)})
    made.entries[number] = Inserted(BEGAN, "c1", job)


@shows(rules.every_step_is_legal)
def a_release_spends_an_attempt(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").claim("w1.1", "j1").store("w1.1", "j1", Release(), failures=1 if wrong else 0)


@shows(rules.every_step_is_legal)
def a_claim_forgets_to_count(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").claim("w1.1", "j1", run=0 if wrong else 1)


@shows(rules.every_step_is_legal)
def a_requeue_keeps_the_failures(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", max_retries=0, ttl=5.0).run("w1.1", "j1", "raised", Fail("no", 1.0)).at(2)
    made.store("c1", "j1", Requeue(), failures=1 if wrong else 0)


@shows(rules.no_stale_write_is_accepted)
def a_step_is_made_from_an_older_version(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").run("w1.1", "j1")
    if wrong:
        stored = made.entries[-2]
        assert isinstance(stored, Stored)
        made.entries[-2] = attrs.evolve(stored, change=attrs.evolve(stored.change, version=0))


@shows(rules.no_stale_write_is_accepted)
def a_record_changes_unseen(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").claim("w1.1", "j1")
    if wrong:
        made.records["j1"] = made.records["j1"].having({"priority": 3})
    made.store("w1.1", "j1", Release())


@shows(rules.a_repeated_write_is_recognised)
def a_step_that_stands_is_refused(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").run("w1.1", "j1")
    if not wrong:
        made.requeue("j1")
    [stored, *_] = [entry for entry in made.entries if isinstance(entry, Stored)]
    made.add(Refused(made.now, "w1.1", stored.change, Verdict.STALE, made.records["j1"]))


@shows(rules.what_was_ordered_never_changes)
def a_settle_changes_the_arguments(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1")
    made.store("w1.1", "j1", Complete(b"1"), payload=b"other" if wrong else made.records["j1"].payload)


@shows(rules.a_record_says_one_thing)
def a_completed_job_keeps_its_lease(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1")
    made.store("w1.1", "j1", Complete(b"1"), lease_until=BEGAN + LEASE if wrong else None)


@shows(rules.a_record_says_one_thing)
def a_job_lives_on_with_too_many_failures(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", max_retries=1).run("w1.1", "j1", "raised", Fail("no", 0.0)).at(1)
    made.take("w1.1", "j1").end("w1.1", "j1", "raised")
    lives_on = {"state": State.DELAYED, "finished_at": None} if wrong else {}
    made.store("w1.1", "j1", Fail("no", 0.0), **lives_on)


@shows(rules.a_job_fails_only_at_its_limits)
def a_job_dies_a_crash_too_early(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", max_crashes=2).take("w1.1", "j1").die("w1.1").at(LEASE)
    dead = {"state": State.FAILED, "finished_at": made.now, "error": "dead"}
    made.store("w2.1", "j1", Reclaim(), **(dead if wrong else {}))


@shows(rules.a_unique_key_has_one_live_job)
def two_have_a_key(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", unique_key="k")
    if not wrong:
        made.cancel("j1")
    made.enqueue("j2", unique_key="k")


@shows(rules.the_end_is_what_was_stored)
def a_write_is_not_there(made: MadeHistory, wrong: bool) -> History:
    made.enqueue("j1")
    before = dict(made.records)
    made.run("w1.1", "j1")
    return made.history(records=before if wrong else made.records)


@shows(rules.a_paused_queue_hands_out_nothing)
def a_claim_overlooks_a_pause(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").pause("a").at(1)
    if not wrong:
        made.pause("a", paused=False)
    made.claim("w1.1", "j1")


@shows(rules.nothing_is_claimed_before_its_time)
def a_job_is_claimed_a_tick_too_early(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", delay=2.0).at(2).claim("w1.1", "j1")
    claimed = made.entries[-1]
    assert isinstance(claimed, Claimed)
    made.entries[-1] = attrs.evolve(claimed, at=claimed.at - (1 / 64 if wrong else 0))


@shows(rules.the_first_in_line_is_claimed_first)
def a_later_job_goes_first(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").at(1).enqueue("j2").claim("w1.1", "j2" if wrong else "j1")


@shows(rules.the_first_in_line_is_claimed_first)
def priority_is_overlooked(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").at(1).enqueue("j2", priority=-1).claim("w1.1", "j1" if wrong else "j2")


@shows(rules.a_lease_is_as_long_as_its_worker_says)
def a_renewal_adds_nothing(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(2).renew("w1.1", "j1", LEASE - 2 if wrong else LEASE)
