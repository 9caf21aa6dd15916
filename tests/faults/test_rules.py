"""Each rule that real processes are judged by keeps quiet where it is kept, and speaks where it is broken."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from property_tests.faults.history import AskedToStop, Gone, entry_of, history_of, line_of
from property_tests.faults.measures import exit_times, pick_up_times, recovery_times, restart_times, stop_times
from trioq import events
from trioq.lifecycle import Job, State
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import (
    STORE,
    Answered,
    Asked,
    Began,
    Died,
    Ended,
    Entry,
    Froze,
    Healed,
    Started,
    Stopped,
    Struck,
    Thawed,
    Told,
    Unanswered,
)
from trioq.testing.simulation.plan import Operation, Verb, WorkerSpec

# --- what happens -------------------------------------------------------------------------------

RECORD = Job(
    id="a",
    queue="jobs",
    task="work",
    payload=b"",
    state=State.COMPLETED,
    version=2,
    run=1,
    worker="w1:0",
    finished_at=5.0,
    result=b"1",
)


def up(at: float, by: str, rate: int | None = None) -> Entry:
    """A worker with one slot and a lease of 2 s."""
    spec = WorkerSpec(name=by, queues=("jobs",), concurrency=1, rate_limit=rate, rate_interval=1.0, lease=2.0)
    return Started(at, by, spec)


def enqueue(id: str) -> Operation:
    return Operation(0.0, "p1", Verb.ENQUEUE, (id,))


def asked(at: float, id: str) -> Entry:
    return Asked(at, "p1", enqueue(id))


def answered(at: float, id: str) -> Entry:
    return Answered(at, "p1", enqueue(id), ((id, True),))


def active(id: str, run: int, **fields: Any) -> Job:
    return Job(id=id, queue="jobs", task="work", payload=b"", state=State.ACTIVE, run=run, **fields)


def began(at: float, by: str, id: str, run: int, **fields: Any) -> Entry:
    return Began(at, by, active(id, run, **fields), run - 1)


def ended(at: float, by: str, id: str, run: int, how: str = "returned") -> Entry:
    return Ended(at, by, active(id, run), run - 1, how, run if how == "returned" else None)


def told(at: float, by: str, name: str, run: int, version: int, state: str, holder: str | None = None) -> Entry:
    """Of job a, which *holder* holds, or held."""
    kinds = {kind.name: kind for kind in vars(events).values() if isinstance(kind, type) and hasattr(kind, "name")}
    worker = f"{holder or by}:0"
    job = attrs.evolve(RECORD, state=State(state), run=run, version=version, worker=worker, result=None)
    more = {"job:completed": {"duration": 0.0}, "job:lost": {"state": "gone"}}
    return Told(
        at,
        by,
        kinds[f"job:{name}"](
            queue="jobs", at=at, job=job, worker=worker, run=run, attempt=1, **more.get(f"job:{name}", {})
        ),
    )


def told_of_itself(at: float, by: str, kind: type[events.Event], **fields: Any) -> Entry:
    return Told(at, by, kind(queue=None, at=at, worker=f"{by}:0", queues=("jobs",), **fields))


# --- histories that keep every rule -------------------------------------------------------------

#: One job that is enqueued, run and completed, by a worker that stops when it is asked to.
KEPT = [
    up(0, "w1", rate=2),
    asked(1, "a"),
    answered(2, "a"),
    told(3, "w1", "started", 1, 1, "active"),
    began(3, "w1", "a", 1),
    ended(4, "w1", "a", 1),
    told(5, "w1", "completed", 1, 2, "completed"),
    AskedToStop(6, "w1"),
    Stopped(7, "w1"),
    Gone(8, "w1"),
]

#: What the worker does that takes the job over.
SECOND = [
    told(6, "w2", "stalled", 1, 2, "waiting", "w1"),
    told(6.1, "w2", "started", 2, 3, "active"),
    began(6.1, "w2", "a", 2),
    ended(7, "w2", "a", 2),
    told(7.1, "w2", "completed", 2, 4, "completed"),
]

#: The same job, whose first worker is killed: it is reclaimed, and another one completes it.
KILLED = [
    *KEPT[:5],
    Struck(4, "w1", "killed"),
    Died(4.1, "w1", -9),
    up(4.2, "w2"),
    *SECOND,
    Stopped(8, "w2"),
    Gone(8.1, "w2"),
]

AFTER_KILL = attrs.evolve(RECORD, version=4, run=2, crashes=1, worker="w2:0", result=b"2")

#: The same job, whose first worker is frozen until another one has begun it.
FROZEN = [
    *KEPT[:5],
    Froze(4, "w1"),
    up(4.2, "w2"),
    *SECOND,
    Thawed(6.5, "w1"),
    ended(6.6, "w1", "a", 1, "cancelled"),
    told(6.7, "w1", "lost", 1, 1, "active"),
]


def judged(entries, *records, **options):
    """The rules that are broken."""
    found = rules.broken(history_of(entries, records), **options)
    return {line.partition(":")[0] for line in found}


def without(entries, kind):
    return [entry for entry in entries if not isinstance(entry, kind)]


@pytest.mark.parametrize(
    ("entries", "record"),
    [(KEPT, RECORD), (KILLED, AFTER_KILL), (FROZEN, AFTER_KILL)],
    ids=["kept", "killed", "frozen"],
)
def test_a_history_that_keeps_every_rule_is_not_blamed(entries, record):
    assert rules.broken(history_of(entries, [record])) == []


# --- histories that break one -------------------------------------------------------------------

#: The same, and the first worker was healthy.
HEALTHY = without(FROZEN, (Froze, Thawed))

WAITS = attrs.evolve(RECORD, state=State.WAITING, version=0, run=0, worker=None, finished_at=None, result=None)
STALE = told(6.7, "w1", "completed", 1, 3, "completed")

RECOVERED = told_of_itself(2, "w1", events.BackendRecovered, outage=1.0)

#: A rule, a history that breaks it, and the records at its end.  It may break others as well.
BREAKS = [
    (rules.nothing_acknowledged_is_lost, KEPT),
    (rules.everything_ends, KEPT[:3], WAITS),
    (rules.what_is_stored_was_asked_for, without(KEPT, Asked), RECORD),
    (rules.what_is_stored_was_asked_for, [*KEPT, began(3.5, "w1", "b", 1)], RECORD),
    (rules.an_enqueue_is_answered_truly, [*KEPT, answered(2.5, "a")], RECORD),
    (rules.a_record_says_one_thing, KEPT, attrs.evolve(RECORD, finished_at=None)),
    (rules.a_record_says_one_thing, KEPT, attrs.evolve(RECORD, crashes=1, failures=1)),
    # The frozen worker's outcome is accepted although another one has the job: over its version, or over the other's.
    (rules.no_stale_write_is_accepted, [*FROZEN, STALE], AFTER_KILL),
    (rules.no_stale_write_is_accepted, [*FROZEN, told(6.7, "w1", "completed", 1, 2, "completed")], AFTER_KILL),
    (rules.every_step_is_legal, [*KEPT, told(5.5, "w1", "released", 1, 3, "waiting")], attrs.evolve(RECORD, version=4)),
    (rules.every_step_is_legal, KILLED, attrs.evolve(AFTER_KILL, version=3)),
    # The worker lives, and what its handler returned got lost in it while the store was away.
    (
        rules.what_is_lost_is_told,
        [*without(KILLED, (Struck, Died)), ended(4, "w1", "a", 1), Stopped(9, "w1")],
        AFTER_KILL,
    ),
    (rules.a_run_is_settled_as_its_handler_ended, [*KEPT[:6], told(4.1, "w1", "released", 1, 2, "waiting")], WAITS),
    (rules.a_run_is_settled_as_its_handler_ended, KEPT, attrs.evolve(RECORD, failures=1)),
    (rules.a_result_is_what_was_returned, KILLED, attrs.evolve(AFTER_KILL, result=b"1")),
    (rules.a_result_is_what_was_returned, without(KEPT, Ended), RECORD),
    (rules.what_begins_was_claimed, [*KEPT, began(3.5, "w1", "a", 1)], RECORD),
    (rules.a_job_runs_in_one_place, HEALTHY, AFTER_KILL),
    (rules.a_healthy_worker_keeps_its_jobs, HEALTHY, AFTER_KILL),
    (rules.a_healthy_worker_keeps_its_jobs, KEPT, attrs.evolve(RECORD, crashes=1)),
    (rules.a_record_says_one_thing, KILLED, attrs.evolve(AFTER_KILL, crashes=4)),
    (rules.no_job_has_more_attempts_than_it_may, KILLED, attrs.evolve(AFTER_KILL, run=1)),
    (
        rules.no_worker_runs_more_than_it_has_slots_for,
        [*KEPT, asked(1, "b"), began(3.5, "w1", "b", 1), ended(3.6, "w1", "b", 1)],
        RECORD,
    ),
    (
        rules.a_job_on_its_last_life_runs_alone,
        [*KEPT, asked(1, "b"), began(3.5, "w1", "b", 1, crashes=2), ended(3.6, "w1", "b", 1)],
        RECORD,
    ),
    (
        rules.no_window_has_more_starts_than_the_rate,
        [*KEPT, *(began(3 + run / 9, "w1", "a", run) for run in (2, 3))],
        RECORD,
    ),
    (
        rules.a_draining_worker_begins_nothing,
        [*KEPT, told_of_itself(2.5, "w1", events.WorkerDraining, grace=5.0)],
        RECORD,
    ),
    (
        rules.a_stopped_worker_leaves_nothing_behind,
        [*without(KEPT, Stopped), Stopped(7, "w1", left=("thread x",))],
        RECORD,
    ),
    (rules.a_stopped_worker_leaves_nothing_behind, without(KEPT, Ended), RECORD),
    (rules.no_worker_breaks, [*without(KEPT, Gone), Died(8, "w1", 1)], RECORD),
    (rules.every_handler_is_told, without(KEPT, Told), RECORD),
    (rules.no_step_is_told_twice, [*KEPT, KEPT[6]], RECORD),
    (
        rules.outages_and_worker_states_are_told_in_order,
        [*KEPT, RECOVERED],
        RECORD,
    ),
]


@pytest.mark.parametrize("example", BREAKS, ids=lambda example: example[0].__name__)
def test_a_history_that_breaks_a_rule_is_blamed_for_it(example):
    rule, entries, *records = example
    assert rule.__name__ in judged(entries, *records)


def test_every_rule_of_real_processes_has_a_history_that_breaks_it():
    assert {rule for rule, *_ in BREAKS} == set(rules.ANY)


def test_an_experiment_can_leave_out_a_rule_that_it_breaks_on_purpose():
    assert judged(KEPT, without=(rules.nothing_acknowledged_is_lost,)) == set()


def test_a_handler_that_was_cancelled_may_be_given_back():
    stopped = [*KEPT[:5], ended(4, "w1", "a", 1, "cancelled"), told(4.1, "w1", "released", 1, 2, "waiting")]
    assert "a_run_is_settled_as_its_handler_ended" not in judged(stopped)


def test_a_handler_that_raises_more_often_than_it_may_is_blamed():
    runs = [entry for run in (1, 2) for entry in (began(3, "w1", "a", run), ended(3.1, "w1", "a", run, "raised"))]
    twice = [*KEPT[:3], *runs]
    record = attrs.evolve(RECORD, state=State.FAILED, result=None, error="no", run=2, version=4, failures=1)
    assert "no_job_has_more_attempts_than_it_may" in judged(twice, attrs.evolve(record, max_retries=0))
    assert "no_job_has_more_attempts_than_it_may" not in judged(twice, attrs.evolve(record, max_retries=1))


def test_a_fault_excuses_only_as_long_as_its_leases_may_last():
    later = [*KEPT[:2], Froze(1, "w1"), Thawed(2, "w1")]
    rule = "a_healthy_worker_keeps_its_jobs"
    assert rule in judged([*later, told(20, "w2", "stalled", 1, 2, "waiting", "w1")])
    assert rule not in judged([*later, told(5, "w2", "stalled", 1, 2, "waiting", "w1")])


@pytest.mark.parametrize("fault", [Struck(5, STORE, "full"), Struck(5, "w1", "blocked"), Died(5, "w1", -9)])
def test_a_fault_of_the_worker_or_of_the_store_excuses_it(fault):
    rule = "a_healthy_worker_keeps_its_jobs"
    taken = told(11, "w2", "stalled", 1, 2, "waiting", "w1")
    assert rule not in judged([*KEPT[:2], fault, taken])
    assert rule in judged([*KEPT[:2], attrs.evolve(fault, by="w2"), taken])


def test_an_outage_that_a_worker_tells_of_excuses_it():
    taken = told(11, "w2", "stalled", 1, 2, "waiting", "w1")
    lost = told_of_itself(10, "w1", events.BackendLost, error="refused")
    rule = "a_healthy_worker_keeps_its_jobs"
    assert rule not in judged([*KEPT[:2], lost, taken])
    assert rule in judged([*KEPT[:2], attrs.evolve(lost, at=1), RECOVERED, taken])


OTHERS = [
    *(Struck(1, "w1", "blocked"), Healed(2, "w1", "blocked"), Unanswered(1, "p", enqueue("a"), "é\n")),
    told_of_itself(1, "w1", events.BackendLost, error="refused"),
]


@pytest.mark.parametrize("entry", {type(entry): entry for entry in [*KEPT, *KILLED, *FROZEN, *OTHERS]}.values())
def test_an_entry_survives_its_line(entry):
    line = line_of(entry)
    assert line.count(b"\n") == 1
    assert entry_of(line) == entry


# --- what is measured ---------------------------------------------------------------------------


def values(samples):
    return sorted(samples.counts.elements())


def test_a_restart_is_from_the_kill_to_the_begin_elsewhere():
    assert values(restart_times(history_of(KILLED, []))) == [2.1]
    assert values(restart_times(history_of(KEPT, []))) == []


def test_a_zombie_stops_when_its_handler_ends():
    assert values(stop_times(history_of(FROZEN, []))) == [0.1]


def test_an_exit_is_from_the_signal_to_the_end_of_the_process():
    assert values(exit_times(history_of(KEPT, []))) == [2]


def test_a_pick_up_is_from_the_answer_to_the_begin():
    assert values(pick_up_times(history_of(KEPT, []), 0, 10)) == [1]
    assert values(pick_up_times(history_of(KEPT, []), 3, 10)) == []


def test_work_flows_again_when_it_is_done_as_fast_as_it_comes():
    healed = [Struck(0, STORE, "silence"), Healed(10, STORE, "silence")]
    done = [told(at, "w1", "completed", 1, 2, "completed") for at in (10.5, 12, 12.1, 12.2, 12.3, 12.4)]
    assert values(recovery_times(history_of([*healed, *done], []), rate=5)) == [2]
    assert values(recovery_times(history_of(healed, []), rate=5)) == [float("inf")]
