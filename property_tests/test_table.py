"""The table of the state machine in words, and what every step of it has.  Whole lives of a job are in
``test_lifecycle``.
"""

from __future__ import annotations

from typing import get_args

import attrs
from hypothesis import given
from hypothesis import strategies as st

from property_tests import strategies as sts
from trioq._core.backoff import Linear
from trioq._core.job import Job, State
from trioq._core.lifecycle import (
    TABLE,
    Cancel,
    Command,
    Complete,
    Expire,
    Fail,
    IllegalStep,
    Reclaim,
    Reject,
    Release,
    Requeue,
    Snooze,
    admit,
    advance,
    command_for,
    next_retry_delay,
    step,
)
from trioq._core.outcome import (
    BadPayload,
    CancelledByUser,
    Expired,
    Interrupted,
    LeaseLost,
    Outcome,
    Raised,
    Rejected,
    RetryAsked,
    Returned,
    Snoozed,
    TimedOut,
    UnknownTask,
)

#: From where a command leads, to where, and what is told of it.
MOVES = {
    "Claim": ("waiting delayed", {"active": "job:started"}),
    "Complete": ("active", {"completed": "job:completed"}),
    "Fail": ("active", {"delayed": "job:retrying", "failed": "job:failed"}),
    "Reject": ("active", {"failed": "job:failed"}),
    "Snooze": ("active", {"delayed": "job:snoozed"}),
    "Release": ("active", {"waiting": "job:released", "delayed": "job:released"}),
    "Expire": ("waiting delayed active", {"expired": "job:expired"}),
    "Cancel": ("waiting delayed blocked active", {"cancelled": "job:cancelled"}),
    "Reclaim": ("active", {"waiting": "job:stalled", "failed": "job:failed"}),
    "Requeue": ("completed failed expired cancelled", {"waiting": "job:requeued"}),
}


def test_the_table_has_these_moves_and_no_others() -> None:
    """Each command is for the states that the design names, leads to those that it names, and is told by one event for
    each; there are no other commands, states or events in the table.
    """
    found = {
        command.__name__: (set(row.sources), {state: told.name for state, told in row.targets.items()})
        for command, row in TABLE.items()
    }
    assert found == {command: (set(sources.split()), targets) for command, (sources, targets) in MOVES.items()}


@given(record=sts.records, commands=sts.one_of_each_command, now=sts.moments)
def test_no_record_is_too_odd_for_a_step(record: Job, commands: tuple[Command, ...], now: float) -> None:
    """Whatever record a store holds, even one that no life leads to, a step of it is answered with a state of the table
    or is illegal; an illegal one says which command, of which job, in which state.
    """
    for command in commands:
        try:
            change = step(record, command, now)
        except IllegalStep as refusal:
            said = f"cannot {type(command).__name__.lower()} job {record.id}: it is {record.state}"
            assert str(refusal) == said  # noqa: PT017 - either answer is right
        else:
            assert record.state in TABLE[type(command)].sources
            assert change.state in TABLE[type(command)].targets
            assert record.after(change) == advance(record, command, now)
    assert admit(record, now) in {"run", "cancelled", "expired", "not due"}


@given(job=sts.held_jobs | sts.jobs(), commands=sts.one_of_each_command, late=sts.durations())
def test_a_step_is_of_one_job_alone(job: Job, commands: tuple[Command, ...], late: float) -> None:
    """A step changes one job: it brings no other change along, and no new job."""
    for command in commands:
        try:
            change = step(job, command, job.run_at + late)
        except IllegalStep:
            continue
        assert (change.also, change.inserts) == ((), ())


@given(job=sts.held_jobs | sts.jobs(), commands=sts.one_of_each_command, late=sts.durations())
def test_only_a_reclaim_compares_the_lease(job: Job, commands: tuple[Command, ...], late: float) -> None:
    """A Reclaim names the lease that it saw run out, since a renewal leaves the version; a step of any other command
    names none.
    """
    for command in commands:
        try:
            change = step(job, command, job.run_at + late)
        except IllegalStep:
            continue
        assert change.lease_until == (job.lease_until if isinstance(command, Reclaim) else None)


@given(job=sts.held_jobs, commands=sts.one_of_each_command, progress=sts.json_values, late=sts.durations())
def test_a_change_that_notes_more_is_else_the_same(
    job: Job, commands: tuple[Command, ...], progress: object, late: float
) -> None:
    """A change can carry the last progress along: it is stored with the step, and the step is the same."""
    for command in commands:
        try:
            change = step(job, command, job.run_at + late)
        except IllegalStep:
            continue
        noted = change.noting(progress=progress)
        assert noted.fields == change.fields | {"progress": progress}
        assert attrs.evolve(noted, fields=change.fields) == change


@given(job=sts.held_jobs, early=sts.durations(10.0), now=sts.durations())
def test_a_release_says_that_nothing_was_spent(job: Job, early: float, now: float) -> None:
    """A Release carries all three counters as they were.  So it can't be taken for a Fail, a Snooze or a Reclaim that
    came first, not even while the job is not due, where a Snooze leads to the same state.
    """
    change = step(job, Release(), job.run_at - early + now)
    assert change.fields == {
        "state": State.DELAYED if now < early else State.WAITING,
        "version": job.version + 1,
        "lease_until": None,
        "failures": job.failures,
        "crashes": job.crashes,
        "snoozes": job.snoozes,
    }


@given(held=sts.held_jobs, failures=st.integers(0, 20), roll=sts.rolls)
def test_the_first_failure_is_the_first(held: Job, failures: int, roll: float) -> None:
    """The wait before a retry is the one that the backoff has for this failure, counted from 1, with these dice."""
    job = held.having({"failures": failures, "backoff": Linear(base=1, max_delay=100, jitter=1)})
    assert next_retry_delay(job, roll) == (failures + 1) * (1 - roll)


@given(held=sts.held_jobs, after=sts.durations(), roll=sts.rolls)
def test_each_way_to_end_is_written_so(held: Job, after: float, roll: float) -> None:
    """What is written of a run goes by how it ended: a result completes the job, an error, a timeout or an unknown task
    fails it, with the wait of its backoff where the handler named none, a rejection or a bad payload rejects it, and so
    on; nothing is written where another client has done so.
    """
    wait = next_retry_delay(held, roll)
    expected: dict[Outcome, Command | None] = {
        Returned(b"1"): Complete(b"1"),
        Raised("no"): Fail("no", wait),
        TimedOut("slow"): Fail("slow", wait),
        UnknownTask("who?"): Fail("who?", wait),
        RetryAsked("again", None): Fail("again", wait),
        RetryAsked("later", after): Fail("later", after),
        Rejected("never"): Reject("never"),
        BadPayload("what?"): Reject("what?"),
        Snoozed(after): Snooze(after),
        Interrupted(): Release(),
        Expired(): Expire(),
        CancelledByUser(): None,
        LeaseLost(): None,
    }
    assert {type(outcome) for outcome in expected} == set(get_args(Outcome))
    assert {outcome: command_for(outcome, held, roll) for outcome in expected} == expected


@given(held=sts.held_jobs, now=sts.durations())
def test_a_result_or_reason_that_is_not_given_is_empty(held: Job, now: float) -> None:
    """A Complete that names no result stores none, and a Cancel that names no reason stores an empty one: a reason
    there is exactly where a client cancelled.
    """
    assert held.after(step(held, Complete(), held.run_at + now)).result is None
    assert held.after(step(held, Cancel(), held.run_at + now)).cancel_reason == ""


@given(job=sts.jobs().filter(lambda job: job.state.final), now=sts.moments, ttl=st.none() | sts.durations())
def test_a_requeued_job_begins_anew(job: Job, now: float, ttl: float | None) -> None:
    """A requeued job waits with all its retries and all its lives, due at once, its whole TTL before it, and has no
    start, end, progress, result, error or cancel reason of its old life.
    """
    anew = job.having({"ttl": ttl}).after(step(job.having({"ttl": ttl}), Requeue(), now))
    assert anew.state is State.WAITING
    assert (anew.failures, anew.crashes, anew.run_at) == (0, 0, now)
    assert anew.expires_at == (None if ttl is None else now + ttl)
    assert (anew.run, anew.snoozes) == (job.run, job.snoozes)
    left = (anew.started_at, anew.finished_at, anew.lease_until, anew.progress, anew.result, anew.error)
    assert {*map(type, left), type(anew.cancel_reason)} == {type(None)}
