"""Each rule that histories are judged by keeps quiet where it is kept, and speaks where it is broken."""

from __future__ import annotations

import attrs
import pytest

from property_tests.faults import rules
from property_tests.faults.history import (
    Acknowledged,
    Asked,
    AskedToStop,
    Began,
    Down,
    Ended,
    Gone,
    Healed,
    History,
    OutOfReach,
    Struck,
    Told,
    Unanswered,
    Up,
    entry_of,
    line_of,
)
from property_tests.faults.measures import exit_times, pick_up_times, recovery_times, restart_times, stop_times
from trioq.lifecycle import Job, State

#: One job that is enqueued, run and completed, by a worker with a lease of 2 s that stops when it is asked to.
KEPT = [
    Up(0, "w1", 2.0, 1, (2, 1.0)),
    Asked(1, "p1", "a"),
    Acknowledged(2, "p1", "a", True),
    Began(3, "w1", "a", 1),
    Told(3, "w1", "job:started", "a", 1, 1, "active", "w1"),
    Ended(4, "w1", "a", 1, "returned"),
    Told(5, "w1", "job:completed", "a", 1, 2, "completed", "w1"),
    AskedToStop(6, "w1"),
    Down(7, "w1"),
    Gone(8, "w1", 0),
]

RECORD = Job(
    id="a",
    queue="jobs",
    task="work",
    state=State.COMPLETED,
    version=2,
    run=1,
    worker="w1",
    finished_at=5.0,
    result=b"1",
)

#: The same job, whose first worker is killed: it is reclaimed, and another one completes it.
KILLED = [
    *KEPT[:5],
    Struck(4, "w1", "killed"),
    Gone(4.1, "w1", -9),
    Up(4.2, "w2", 2.0, 1),
    Told(6, "w2", "job:stalled", "a", 1, 2, "waiting", "w1"),
    Began(6.1, "w2", "a", 2),
    Ended(7, "w2", "a", 2, "returned"),
    Told(7.1, "w2", "job:completed", "a", 2, 4, "completed", "w2"),
    Down(8, "w2"),
    Gone(8.1, "w2", 0),
]

AFTER_KILL = attrs.evolve(RECORD, version=4, run=2, crashes=1, worker="w2", result=b"2")

#: The same job, whose first worker is frozen until another one has begun it.
FROZEN = [
    *KEPT[:5],
    Struck(4, "w1", "frozen"),
    Up(4.2, "w2", 2.0, 1),
    Told(6, "w2", "job:stalled", "a", 1, 2, "waiting", "w1"),
    Began(6.1, "w2", "a", 2),
    Healed(6.5, "w1", "frozen"),
    Ended(6.6, "w1", "a", 1, "cancelled"),
    Told(6.7, "w1", "job:lost", "a", 1, 1, "active", "w1"),
    Ended(7, "w2", "a", 2, "returned"),
    Told(7.1, "w2", "job:completed", "a", 2, 4, "completed", "w2"),
]


def wrong(entries, *records):
    """The rules that are broken."""
    found = rules.violations(History.of(entries, records))
    return {words.partition(":")[0] for words in found}


def without(entries, *indices):
    return [entry for place, entry in enumerate(entries) if place not in indices]


@pytest.mark.parametrize(
    ("entries", "record"),
    [(KEPT, RECORD), (KILLED, AFTER_KILL), (FROZEN, AFTER_KILL)],
    ids=["kept", "killed", "frozen"],
)
def test_a_history_that_keeps_every_rule_is_not_blamed(entries, record):
    assert rules.violations(History.of(entries, [record])) == []


#: Rule -> a history that breaks it, and the records at its end.  It may break others as well.
BREAKS = {
    "no_acknowledged_job_is_lost": (KEPT,),
    "every_job_ends": (
        KEPT[:3],
        attrs.evolve(RECORD, state=State.WAITING, version=0, run=0, worker=None, finished_at=None, result=None),
    ),
    "nothing_runs_that_nobody_asked_for": (without(KEPT, 1), RECORD),
    "an_enqueue_makes_one_job": ([*KEPT, Acknowledged(2.5, "p1", "a", True)], RECORD),
    "no_record_breaks_an_invariant": (KEPT, attrs.evolve(RECORD, finished_at=None)),
    # The frozen worker's outcome is accepted although another one has the job.
    "each_run_ends_once": (
        [*FROZEN, Told(6.7, "w1", "job:completed", "a", 1, 3, "completed", "w1")],
        AFTER_KILL,
    ),
    "each_version_is_written_once": (
        [*FROZEN, Told(6.7, "w1", "job:completed", "a", 1, 2, "completed", "w1")],
        AFTER_KILL,
    ),
    "every_move_is_legal": (
        [*KEPT, Told(5.5, "w1", "job:released", "a", 1, 3, "waiting", "w1")],
        attrs.evolve(RECORD, version=4),
    ),
    # The worker lives, and what its handler returned got lost in it while the store was away.
    "no_outcome_is_dropped": (
        [Ended(4, "w1", "a", 1, "returned") if isinstance(entry, Gone) else entry for entry in KILLED[:-2]],
        AFTER_KILL,
    ),
    "a_completed_job_has_the_result_of_its_last_run": (KILLED, attrs.evolve(AFTER_KILL, result=b"1")),
    "no_run_begins_twice": ([*KEPT, Began(3.5, "w1", "a", 1)], RECORD),
    "a_job_runs_in_one_place_while_its_owner_is_healthy": (without(FROZEN, 5, 9), AFTER_KILL),
    "every_crash_has_a_cause": (without(FROZEN, 5, 9), AFTER_KILL),
    "every_failure_has_a_cause": (KEPT, attrs.evolve(RECORD, failures=1)),
    "no_job_runs_more_often_than_it_may": (KILLED, attrs.evolve(AFTER_KILL, crashes=4)),
    "no_worker_runs_more_than_it_has_slots_for": (
        [*KEPT, Asked(1, "p1", "b"), Began(3.5, "w1", "b", 1), Ended(3.6, "w1", "b", 1, "returned")],
        RECORD,
    ),
    "no_window_has_more_starts_than_the_rate": (
        [
            *KEPT,
            *(
                entry
                for n in (1, 2)
                for entry in (Began(4 + n / 9, "w1", "a", 1 + n), Ended(4.3, "w1", "a", 1 + n, "raised"))
            ),
            Began(4.4, "w1", "a", 4),
        ],
        RECORD,
    ),
    "who_ends_leaves_nothing_behind": ([*without(KEPT, 8), Down(7, "w1", ("thread trioq",))], RECORD),
    "no_process_breaks": ([*without(KEPT, 9), Gone(8, "w1", 1)], RECORD),
}


@pytest.mark.parametrize("rule", BREAKS)
def test_a_history_that_breaks_a_rule_is_blamed_for_it(rule):
    entries, *records = BREAKS[rule]
    assert rule in wrong(entries, *records)


def test_every_rule_has_a_history_that_breaks_it():
    assert [rule.__name__ for rule in rules.RULES] == list(BREAKS)


def test_an_experiment_can_leave_out_a_rule_that_it_breaks_on_purpose():
    assert rules.violations(History.of(KEPT, []), without=(rules.no_acknowledged_job_is_lost,)) == []


def test_a_job_that_is_completed_by_a_run_that_never_returned_is_blamed():
    assert wrong(without(KEPT, 5), RECORD) == {"a_completed_job_has_the_result_of_its_last_run"}


def test_a_worker_that_releases_what_has_returned_is_blamed():
    released = Told(4.1, "w1", "job:released", "a", 1, 2, "waiting", "")
    cancelled = attrs.evolve(KEPT[5], how="cancelled")
    assert "no_outcome_is_dropped" in wrong([*KEPT[:6], released])
    assert "no_outcome_is_dropped" not in wrong([*KEPT[:5], cancelled, released])


def test_a_record_that_is_older_than_what_was_told_is_blamed():
    assert "every_move_is_legal" in wrong(KILLED, attrs.evolve(AFTER_KILL, version=3))


def test_a_fault_excuses_only_as_long_as_its_leases_may_last():
    later = [
        *KEPT[:2],
        Struck(1, "w1", "frozen"),
        Healed(2, "w1", "frozen"),
        Told(20, "w2", "job:stalled", "a", 1, 2, "waiting", "w1"),
    ]
    assert "every_crash_has_a_cause" in wrong(later)
    assert "every_crash_has_a_cause" not in wrong([*later[:4], attrs.evolve(later[4], at=5)])


def test_an_outage_that_a_worker_tells_of_excuses_it():
    outage = [OutOfReach(10, "w1", "backend:lost"), Told(11, "w2", "job:stalled", "a", 1, 2, "waiting", "w1")]
    assert "every_crash_has_a_cause" not in wrong([*KEPT[:2], *outage])
    assert "every_crash_has_a_cause" in wrong(
        [*KEPT[:2], *outage, OutOfReach(2, "w1", "backend:recovered")][:2] + outage[1:]
    )


def test_crashes_that_are_counted_where_nothing_had_happened_are_blamed():
    assert wrong(KEPT, attrs.evolve(RECORD, crashes=1)) == {"every_crash_has_a_cause"}


@pytest.mark.parametrize(
    "entry", {type(entry): entry for entry in [*KEPT, *FROZEN, Unanswered(1, "p", "a", "é\n")]}.values()
)
def test_an_entry_survives_its_line(entry):
    line = line_of(entry)
    assert line.count(b"\n") == 1
    assert entry_of(line) == entry


# --- what is measured ---------------------------------------------------------------------------


def values(samples):
    return sorted(samples.counts.elements())


def test_a_restart_is_from_the_kill_to_the_begin_elsewhere():
    assert values(restart_times(History.of(KILLED, []))) == [2.1]
    assert values(restart_times(History.of(KEPT, []))) == []


def test_a_zombie_stops_when_its_handler_ends():
    assert values(stop_times(History.of(FROZEN, []))) == [0.1]


def test_an_exit_is_from_the_signal_to_the_end_of_the_process():
    assert values(exit_times(History.of(KEPT, []))) == [2]


def test_a_pick_up_is_from_the_answer_to_the_begin():
    assert values(pick_up_times(History.of(KEPT, []), 0, 10)) == [1]
    assert values(pick_up_times(History.of(KEPT, []), 3, 10)) == []


def test_work_flows_again_when_it_is_done_as_fast_as_it_comes():
    healed = [Struck(0, "store", "silence"), Healed(10, "store", "silence")]
    done = [Told(at, "w1", "job:completed", "a", 1, 2, "completed", "w1") for at in (10.5, 12, 12.1, 12.2, 12.3, 12.4)]
    assert values(recovery_times(History.of([*healed, *done], []), rate=5)) == [2]
    assert values(recovery_times(History.of(healed, []), rate=5)) == [float("inf")]
