"""The transition table, spelt out by hand, and the rules of the state machine one by one.

A change of the table must be made here as well: that is how a reviewer sees it.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import trioq
from trioq._core.backoff import Fixed, Steps
from trioq._core.job import Job, State, broken_rules
from trioq._core.lifecycle import (
    TABLE,
    Admission,
    Cancel,
    Claim,
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
    command_for,
    next_retry_delay,
    stamp,
    step,
)
from trioq._core.outcome import (
    MAX_ERROR_BYTES,
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

NOW = 1_000.0
LEASE = 15.0


def job_in(state: State, **fields: Any) -> Job:
    """A sound job in *state*, past its TTL, due, its lease run out: no rule but the state is in a command's way."""
    job = Job(id="1", queue="q", task="t", ttl=60.0, expires_at=900.0, run=1, version=2, state=state)
    if state is State.ACTIVE:
        job = job.having({"worker": "ada-1", "lease_until": 950.0, "started_at": 935.0})
    if state.final:
        job = job.having({"finished_at": 990.0})
    if state is State.FAILED:
        job = job.having({"error": "ValueError: no"})
    if state is State.CANCELLED:
        job = job.having({"cancel_reason": ""})
    return job.having(fields)


def after(job: Job, *commands: Command, now: float = NOW) -> Job:
    """The job after these steps."""
    for command in commands:
        job = job.after(step(job, command, now))
    return job


def fresh(**options: Any) -> Job:
    """A job that was stored a moment ago."""
    return stamp(Job(id="1", queue="q", task="t", **options), seq=7, now=NOW)


def claimed(**options: Any) -> Job:
    """A job that was stored and claimed a moment ago."""
    return after(fresh(**options), Claim("ada-1", NOW + LEASE))


# --- the table ----------------------------------------------------------------------------------

COMMANDS = {
    "claim": Claim("bob-2", NOW + LEASE),
    "complete": Complete(b"null"),
    "fail": Fail("ValueError: no", 10.0),
    "reject": Reject("Reject: no"),
    "snooze": Snooze(10.0),
    "release": Release(),
    "expire": Expire(),
    "cancel": Cancel("enough"),
    "reclaim": Reclaim(),
    "requeue": Requeue(),
}

# A dash is an illegal step.  fail and reclaim are of a job with tries and lives left; release of one that is due.
SPELT = """
           waiting    delayed    blocked    active     completed  failed     expired    cancelled
claim      active     active     -          -          -          -          -          -
complete   -          -          -          completed  -          -          -          -
fail       -          -          -          delayed    -          -          -          -
reject     -          -          -          failed     -          -          -          -
snooze     -          -          -          delayed    -          -          -          -
release    -          -          -          waiting    -          -          -          -
expire     expired    expired    -          expired    -          -          -          -
cancel     cancelled  cancelled  cancelled  cancelled  -          -          -          -
reclaim    -          -          -          waiting    -          -          -          -
requeue    -          -          -          -          waiting    waiting    waiting    waiting
"""

_HEAD, *_ROWS = [line.split() for line in SPELT.strip().splitlines()]
CELLS = {(state, name): cell for name, *row in _ROWS for state, cell in zip(_HEAD, row, strict=True)}


def target(state: State, command: Command) -> str:
    """The state in which a command leaves a job, as the table spells it."""
    try:
        return after(job_in(state), command).state
    except IllegalStep:
        return "-"


def test_the_table_is_as_spelt_here() -> None:
    assert {(state, name): target(State(state), COMMANDS[name]) for state, name in CELLS} == CELLS


def test_every_state_and_command_is_spelt_here() -> None:
    assert list(State) == _HEAD
    assert {type(command) for command in COMMANDS.values()} == set(TABLE)
    assert list(COMMANDS) == [name for name, *_ in _ROWS]


#: Every way that a step can go, and the event that tells of it.
EVENTS = """
    claim active job:started
    complete completed job:completed
    fail delayed job:retrying
    fail failed job:failed
    reject failed job:failed
    snooze delayed job:snoozed
    release waiting job:released
    release delayed job:released
    expire expired job:expired
    cancel cancelled job:cancelled
    reclaim waiting job:stalled
    reclaim failed job:failed
    requeue waiting job:requeued
"""


def test_every_target_has_the_event_that_is_spelt_here() -> None:
    spelt = {tuple(line.split()) for line in EVENTS.strip().splitlines()}
    told = {
        (command.__name__.lower(), str(state), event.name)
        for command, rule in TABLE.items()
        for state, event in rule.targets.items()
    }
    assert told == spelt


def test_the_table_is_read_only() -> None:
    with pytest.raises(TypeError):
        TABLE[Claim] = TABLE[Cancel]  # type: ignore[index]


def test_a_command_holds_just_its_own_fields() -> None:
    assert {kind.__name__: [field.name for field in attrs.fields(kind)] for kind in TABLE} == {
        "Claim": ["worker", "lease_until"],
        "Complete": ["result"],
        "Fail": ["error", "delay"],
        "Reject": ["error"],
        "Snooze": ["delay"],
        "Release": [],
        "Expire": [],
        "Cancel": ["reason"],
        "Reclaim": [],
        "Requeue": [],
    }


def test_the_specification_can_be_imported_whole() -> None:
    names = {"State", "TABLE", "step", "admit", "command_for", "next_retry_delay", "broken_rules"}
    assert names <= vars(trioq.lifecycle).keys()


# --- steps --------------------------------------------------------------------------------------


def test_an_illegal_step_says_what_was_tried_on_what() -> None:
    job = job_in(State.COMPLETED)
    with pytest.raises(IllegalStep, match="cannot cancel job 1: it is completed") as caught:
        step(job, Cancel(), NOW)
    assert (caught.value.job, caught.value.command) == (job, Cancel())


def test_a_change_names_what_it_was_made_from_and_carries_no_payload() -> None:
    job = claimed(payload=b'[["a"],{}]')
    change = step(job, Complete(b"1"), NOW)
    assert (change.queue, change.id, change.seq, change.version) == ("q", "1", 7, 1)
    assert "payload" not in change.fields
    assert change.state is State.COMPLETED
    assert job.after(change).version == 2


def test_only_a_reclaim_names_the_lease_that_it_read() -> None:
    job = claimed()
    assert step(job, Reclaim(), NOW + LEASE).lease_until == NOW + LEASE
    assert step(job, Complete(), NOW).lease_until is None


def test_a_change_can_note_what_no_rule_depends_on() -> None:
    change = step(claimed(), Release(), NOW)
    noted = change.noting(progress=0.5)
    assert noted.fields == {**change.fields, "progress": 0.5}
    assert "progress" not in change.fields


def test_a_claim_begins_a_run_under_a_lease() -> None:
    job = claimed()
    assert (job.state, job.run, job.worker, job.started_at) == (State.ACTIVE, 1, "ada-1", NOW)
    assert job.lease_until == NOW + LEASE


def test_a_delayed_job_is_claimed_once_due_and_not_before() -> None:
    job = fresh(delay=5.0)
    with pytest.raises(IllegalStep):
        step(job, Claim("ada-1", NOW + LEASE), NOW + 4.999)
    assert step(job, Claim("ada-1", NOW + LEASE), NOW + 5).state is State.ACTIVE


def test_a_completed_job_has_its_result_and_no_error() -> None:
    job = after(claimed(), Fail("ValueError: no", 0.0), Claim("ada-1", NOW + LEASE), Complete(b"42"))
    assert (job.state, job.result, job.error, job.failures) == (State.COMPLETED, b"42", None, 1)
    assert (job.finished_at, job.lease_until) == (NOW, None)


def test_a_failed_run_waits_its_delay() -> None:
    job = after(claimed(), Fail("ValueError: no", 10.0))
    assert (job.state, job.run_at, job.failures, job.error) == (State.DELAYED, NOW + 10, 1, "ValueError: no")
    assert job.finished_at is None


def test_a_job_fails_for_good_once_failures_exceed_max_retries() -> None:
    job = fresh(max_retries=2)
    for _ in range(2):
        job = after(job, Claim("ada-1", NOW + LEASE), Fail("no", 0.0))
        assert job.state is State.DELAYED
    job = after(job, Claim("ada-1", NOW + LEASE), Fail("the last", 0.0))
    assert (job.state, job.failures, job.run, job.error) == (State.FAILED, 3, 3, "the last")


def test_a_job_without_retries_runs_once() -> None:
    assert after(claimed(max_retries=0), Fail("no", 10.0)).state is State.FAILED


def test_a_rejected_job_fails_whatever_retries_are_left() -> None:
    job = after(claimed(max_retries=5), Reject("no"))
    assert (job.state, job.failures, job.error) == (State.FAILED, 1, "no")


def test_a_snoozed_job_spends_no_attempt() -> None:
    job = after(claimed(), Snooze(10.0))
    assert (job.state, job.run_at, job.snoozes, job.failures, job.attempt) == (State.DELAYED, NOW + 10, 1, 0, 1)


def test_a_released_job_spends_no_attempt_and_keeps_its_place() -> None:
    job = after(claimed(), Release())
    assert (job.state, job.run_at, job.attempt, job.run, job.crashes) == (State.WAITING, NOW, 1, 1, 0)


def test_a_released_job_is_delayed_while_run_at_is_still_ahead() -> None:
    job = after(claimed().having({"run_at": NOW + 1}), Release())
    assert job.state is State.DELAYED


def test_expired_means_now_is_expires_at_or_later() -> None:
    job = fresh(ttl=60.0)
    with pytest.raises(IllegalStep):
        step(job, Expire(), NOW + 59.999)
    assert step(job, Expire(), NOW + 60).state is State.EXPIRED


def test_a_job_without_a_ttl_never_expires() -> None:
    with pytest.raises(IllegalStep):
        step(fresh(), Expire(), 1e12)


def test_a_retry_due_after_expires_at_stays_delayed_and_expires() -> None:
    job = after(claimed(ttl=60.0), Fail("no", 600.0))
    assert (job.state, job.run_at, job.expires_at) == (State.DELAYED, NOW + 600, NOW + 60)
    assert after(job, Expire(), now=NOW + 60).state is State.EXPIRED


def test_a_cancelled_job_keeps_the_reason() -> None:
    job = after(claimed(), Cancel("unsubscribed"))
    assert (job.state, job.cancel_reason, job.lease_until) == (State.CANCELLED, "unsubscribed", None)


def test_a_lease_can_be_reclaimed_once_it_ran_out_and_not_before() -> None:
    job = claimed()
    with pytest.raises(IllegalStep):
        step(job, Reclaim(), NOW + LEASE - 0.001)
    back = after(job, Reclaim(), now=NOW + LEASE)
    assert (back.state, back.crashes, back.failures, back.attempt) == (State.WAITING, 1, 0, 1)


def test_the_last_crash_fails_the_job_and_says_why() -> None:
    job = after(claimed(max_crashes=1), Reclaim(), now=NOW + LEASE)
    assert (job.state, job.crashes) == (State.FAILED, 1)
    assert job.error == "the lease of worker ada-1 ran out in run 1: crash 1 of 1"


def test_a_job_is_on_its_last_life_before_the_crash_that_would_end_it() -> None:
    job = fresh(max_crashes=2)
    assert not job.last_life
    job = after(job, Claim("ada-1", NOW), Reclaim())
    assert job.last_life
    assert fresh(max_crashes=1).last_life


def test_failures_and_crashes_are_counted_apart() -> None:
    job = after(fresh(max_retries=1, max_crashes=2), Claim("ada-1", NOW), Reclaim(), Claim("bob-2", NOW), Fail("no", 0))
    assert (job.state, job.failures, job.crashes, job.run) == (State.DELAYED, 1, 1, 2)


def test_a_requeued_job_has_all_its_lives_and_a_fresh_ttl() -> None:
    job = after(claimed(ttl=60.0, max_retries=0), Fail("no", 0.0))
    job = after(job, Requeue(), now=NOW + 500)
    assert (job.state, job.failures, job.crashes, job.error) == (State.WAITING, 0, 0, None)
    assert (job.run_at, job.expires_at) == (NOW + 500, NOW + 560)
    assert (job.started_at, job.finished_at, job.created_at) == (None, None, NOW)


def test_a_requeue_does_not_reset_the_run_that_fences_a_stale_owner() -> None:
    job = after(claimed(), Snooze(0.0), Claim("ada-1", NOW), Complete(b"1"), Requeue())
    assert (job.run, job.snoozes, job.version) == (2, 1, 5)
    assert job.result is None


# --- insert -------------------------------------------------------------------------------------


def test_a_stamped_job_waits_from_now_on() -> None:
    job = fresh()
    assert (job.seq, job.state, job.created_at, job.run_at, job.expires_at) == (7, State.WAITING, NOW, NOW, None)


def test_a_job_with_a_delay_is_delayed_from_the_stores_now() -> None:
    job = fresh(delay=5.0, run_at=1.0, ttl=60.0)
    assert (job.state, job.run_at, job.delay_until, job.expires_at) == (State.DELAYED, NOW + 5, NOW + 5, NOW + 60)


def test_a_job_with_a_delay_of_zero_is_ready_whatever_run_at_says() -> None:
    assert fresh(delay=0.0, run_at=NOW + 99).state is State.WAITING


def test_a_run_at_in_the_future_delays_and_one_in_the_past_does_not() -> None:
    assert (fresh(run_at=NOW + 5).state, fresh(run_at=NOW + 5).run_at) == (State.DELAYED, NOW + 5)
    assert (fresh(run_at=NOW - 5).state, fresh(run_at=NOW - 5).run_at) == (State.WAITING, NOW)


# --- admit --------------------------------------------------------------------------------------


def test_a_claimed_job_runs() -> None:
    assert admit(claimed(ttl=60.0), NOW + 59.999) is Admission.RUN


def test_a_job_that_waited_past_its_ttl_does_not_run() -> None:
    assert admit(claimed(ttl=60.0), NOW + 60) is Admission.EXPIRED


def test_a_raw_job_that_is_not_due_does_not_run() -> None:
    assert admit(fresh(delay=5.0), NOW + 4.999) is Admission.NOT_DUE
    assert admit(fresh(delay=5.0), NOW + 5) is Admission.RUN


def test_cancelled_comes_before_expired_and_expired_before_not_due() -> None:
    job = fresh(delay=600.0, ttl=60.0)
    assert admit(job, NOW + 60) is Admission.EXPIRED
    assert admit(after(job, Cancel()), NOW + 60) is Admission.CANCELLED


# --- from an outcome to a command ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "command"),
    [
        (Returned(b"1"), Complete(b"1")),
        (Raised("no"), Fail("no", 7.0)),
        (TimedOut("slow"), Fail("slow", 7.0)),
        (UnknownTask("who?"), Fail("who?", 7.0)),
        (RetryAsked("again"), Fail("again", 7.0)),
        (RetryAsked("again", 0.0), Fail("again", 0.0)),
        (Rejected("no"), Reject("no")),
        (BadPayload("what?"), Reject("what?")),
        (Snoozed(3.0), Snooze(3.0)),
        (Interrupted(), Release()),
        (Expired(), Expire()),
        (CancelledByUser(), None),
        (LeaseLost(), None),
    ],
)
def test_each_outcome_has_the_command_that_is_spelt_here(outcome: Outcome, command: Command | None) -> None:
    assert command_for(outcome, claimed(backoff=Fixed(7.0)), roll=0.5) == command


@pytest.mark.parametrize("outcome", [Raised, TimedOut, UnknownTask, RetryAsked, Rejected, BadPayload])
def test_the_error_text_of_every_outcome_is_cut(outcome: type[Any]) -> None:
    command = command_for(outcome("x" * MAX_ERROR_BYTES + "ö"), claimed(), roll=0.5)
    assert isinstance(command, (Fail, Reject))
    assert len(command.error.encode()) <= MAX_ERROR_BYTES
    assert command.error.endswith("xö")


def test_what_is_no_outcome_is_refused() -> None:
    with pytest.raises(AssertionError):
        command_for("done", claimed(), 0.0)  # type: ignore[arg-type]


def test_the_next_retry_delay_counts_the_run_that_is_under_way() -> None:
    job = claimed(backoff=Steps([1, 10, 60]))
    assert next_retry_delay(job, 0.0) == 1
    assert next_retry_delay(job.having({"failures": 2}), 0.0) == 60


# --- soundness ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(State))
def test_the_jobs_of_these_tests_are_sound(state: State) -> None:
    assert broken_rules(job_in(state)) == []
