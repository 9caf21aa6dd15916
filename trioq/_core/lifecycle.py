"""The job state machine: one function, ``step(job, command, now)``, over one table.

The only code that moves a job from state to state.  Workers, the command line, the backends and the tests all
call it; a store compares and stores what `step` returns, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, assert_never

import attrs

from . import events
from .errors import TrioqError
from .job import Job, State
from .outcome import (
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
    cut,
)

# --- commands -----------------------------------------------------------------------------------


@attrs.frozen
class Claim:
    """Take a ready job under a lease."""

    worker: str
    lease_until: float


@attrs.frozen
class Complete:
    """The handler returned; ``result`` is encoded."""

    result: bytes | None = None


@attrs.frozen
class Fail:
    """The run failed: try again after ``delay`` seconds, unless the retries are used up."""

    error: str
    delay: float


@attrs.frozen
class Reject:
    """The run failed in a way that no retry can mend."""

    error: str


@attrs.frozen
class Snooze:
    """The handler put the job off for ``delay`` seconds; no attempt is spent."""

    delay: float


@attrs.frozen
class Release:
    """Never started, or interrupted by a shutdown; no attempt is spent."""


@attrs.frozen
class Expire:
    """Too late to start."""


@attrs.frozen
class Cancel:
    """A caller does not want the job any more."""

    reason: str = ""


@attrs.frozen
class Reclaim:
    """The lease ran out: its worker is taken for dead."""


@attrs.frozen
class Requeue:
    """Make an ended job ready again, with all its lives and a fresh TTL."""


Command = Claim | Complete | Fail | Reject | Snooze | Release | Expire | Cancel | Reclaim | Requeue


# --- what a step returns ------------------------------------------------------------------------

#: The fields that a step changes, the new state among them.
Fields = dict[str, Any]


@attrs.frozen
class Change:
    """One step, as a store needs it: what to compare, and the fields that change.  Never the payload."""

    queue: str
    id: str
    seq: int
    version: int  #: the version that was read; the store refuses the change if it has another by now
    fields: Fields
    event: type[events.JobEvent]  #: emitted once the change is stored
    lease_until: float | None = None  #: a renewal leaves the version, so a Reclaim also compares the lease it read
    also: tuple[Change, ...] = ()  #: stored together with this one, or not at all
    inserts: tuple[Job, ...] = ()  #: new jobs, stored together with this change, or not at all

    @property
    def state(self) -> State:
        """The state that the job gets."""
        state: State = self.fields["state"]
        return state

    def noting(self, **fields: Any) -> Change:
        """The same step, with fields that no rule depends on, such as the last progress."""
        return attrs.evolve(self, fields={**self.fields, **fields})


class IllegalStep(TrioqError):
    """The job's state does not allow the command."""

    def __init__(self, job: Job, command: Command) -> None:
        self.job, self.command = job, command
        super().__init__(f"cannot {type(command).__name__.lower()} job {job.id}: it is {job.state}")


@attrs.frozen
class Rule:
    """A row of the table."""

    sources: frozenset[State]
    #: Every state that the command can lead to, and the event that tells of it.
    targets: Mapping[State, type[events.JobEvent]]
    effect: Callable[[Job, Any, float], Fields]
    #: What must hold besides the state.
    when: Callable[[Job, float], bool] | None = None


# --- effects ------------------------------------------------------------------------------------


def _claim(job: Job, command: Claim, now: float) -> Fields:
    return {
        "state": State.ACTIVE,
        "run": job.run + 1,
        "worker": command.worker,
        "lease_until": command.lease_until,
        "started_at": now,
    }


def _finish(state: State, now: float, **fields: Any) -> Fields:
    return {"state": state, "finished_at": now, "lease_until": None, **fields}


def _complete(job: Job, command: Complete, now: float) -> Fields:
    return {
        "state": State.COMPLETED,
        "finished_at": now,
        "lease_until": None,
        "result": command.result,
        "error": None,
    }


def _fail(job: Job, command: Fail, now: float) -> Fields:
    failures = job.failures + 1
    if failures > job.max_retries:
        return _finish(State.FAILED, now, failures=failures, error=command.error)
    return {**_delay(now + command.delay), "failures": failures, "error": command.error}


def _reject(job: Job, command: Reject, now: float) -> Fields:
    return _finish(State.FAILED, now, failures=job.failures + 1, error=command.error)


def _snooze(job: Job, command: Snooze, now: float) -> Fields:
    return {**_delay(now + command.delay), "snoozes": job.snoozes + 1}


def _delay(run_at: float) -> Fields:
    return {"state": State.DELAYED, "run_at": run_at, "lease_until": None}


def _release(job: Job, command: Release, now: float) -> Fields:
    return {
        "state": State.DELAYED if job.run_at > now else State.WAITING,
        "lease_until": None,
        # No attempt is spent.  These fields tell the step from a Reclaim, Fail or Snooze that came first: a store that
        # finds all fields of a step there already takes it for stored.
        "failures": job.failures,
        "crashes": job.crashes,
        "snoozes": job.snoozes,
    }


def _expire(job: Job, command: Expire, now: float) -> Fields:
    return _finish(State.EXPIRED, now)


def _cancel(job: Job, command: Cancel, now: float) -> Fields:
    return _finish(State.CANCELLED, now, cancel_reason=command.reason)


def _reclaim(job: Job, command: Reclaim, now: float) -> Fields:
    crashes = job.crashes + 1
    if crashes >= job.max_crashes:
        error = f"the lease of worker {job.worker} ran out in run {job.run}: crash {crashes} of {job.max_crashes}"
        return _finish(State.FAILED, now, crashes=crashes, error=error)
    return {"state": State.WAITING, "crashes": crashes, "lease_until": None}


def _requeue(job: Job, command: Requeue, now: float) -> Fields:
    return {
        "state": State.WAITING,
        "failures": 0,
        "crashes": 0,
        "run_at": now,
        "expires_at": None if job.ttl is None else now + job.ttl,
        "started_at": None,
        "finished_at": None,
        "progress": None,
        "result": None,
        "error": None,
        "cancel_reason": None,
    }


def _due(job: Job, now: float) -> bool:
    return job.run_at <= now or job.state is State.WAITING  # the first test is quicker, and true of nearly all jobs


def _past_ttl(job: Job, now: float) -> bool:
    return job.expires_at is not None and now >= job.expires_at


def _lease_ran_out(job: Job, now: float) -> bool:
    return job.lease_until is not None and job.lease_until <= now


_ACTIVE: Final = frozenset({State.ACTIVE})
_FINAL: Final = frozenset(state for state in State if state.final)
_LIVE: Final = frozenset(State) - _FINAL

#: command -> from where, to where, and what changes.
TABLE: Final[Mapping[type[Command], Rule]] = MappingProxyType(
    {
        Claim: Rule(
            frozenset({State.WAITING, State.DELAYED}),
            {State.ACTIVE: events.JobStarted},
            _claim,
            when=_due,
        ),
        Complete: Rule(_ACTIVE, {State.COMPLETED: events.JobCompleted}, _complete),
        Fail: Rule(_ACTIVE, {State.DELAYED: events.JobRetrying, State.FAILED: events.JobFailed}, _fail),
        Reject: Rule(_ACTIVE, {State.FAILED: events.JobFailed}, _reject),
        Snooze: Rule(_ACTIVE, {State.DELAYED: events.JobSnoozed}, _snooze),
        Release: Rule(_ACTIVE, {State.WAITING: events.JobReleased, State.DELAYED: events.JobReleased}, _release),
        Expire: Rule(
            frozenset({State.WAITING, State.DELAYED, State.ACTIVE}),
            {State.EXPIRED: events.JobExpired},
            _expire,
            when=_past_ttl,
        ),
        Cancel: Rule(_LIVE, {State.CANCELLED: events.JobCancelled}, _cancel),
        Reclaim: Rule(
            _ACTIVE,
            {State.WAITING: events.JobStalled, State.FAILED: events.JobFailed},
            _reclaim,
            when=_lease_ran_out,
        ),
        Requeue: Rule(_FINAL, {State.WAITING: events.JobRequeued}, _requeue),
    }
)


# --- decisions ----------------------------------------------------------------------------------


def step(job: Job, command: Command, now: float) -> Change:
    """The change that *command* makes to *job* at *now*.  IllegalStep where the table does not allow it.

    ``job.after(change)`` is the new record.  The only place where a job changes state.
    """
    rule = TABLE[type(command)]
    fields = _moved(job, command, now, rule)
    return Change(
        job.queue,
        job.id,
        job.seq,
        job.version,
        fields,
        rule.targets[fields["state"]],
        job.lease_until if type(command) is Reclaim else None,
    )


def advance(job: Job, command: Command, now: float) -> Job:
    """``job.after(step(job, command, now))``, for a store that makes the step itself and so has nothing to compare."""
    return job.having(_moved(job, command, now, TABLE[type(command)]))


def _moved(job: Job, command: Command, now: float, rule: Rule) -> Fields:
    if job.state not in rule.sources or (rule.when is not None and not rule.when(job, now)):
        raise IllegalStep(job, command)
    fields = rule.effect(job, command, now)
    fields["version"] = job.version + 1
    return fields


def stamp(job: Job, seq: int, now: float) -> Job:
    """The record that inserting *job* stores: all that a backend fills in, besides the Claim step."""
    run_at = now + job.delay if job.delay is not None else max(now, job.run_at)
    return job.having(
        {
            "seq": seq,
            "created_at": now,
            "run_at": run_at,
            "expires_at": None if job.ttl is None else now + job.ttl,
            "state": State.DELAYED if run_at > now else State.WAITING,
        }
    )


class Admission(StrEnum):
    """Whether the handler of a claimed job may begin, and if not, why."""

    RUN = "run"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    NOT_DUE = "not due"


def admit(job: Job, now: float) -> Admission:
    """Whether a handler may begin at *now*.  Called once a job has its slot and token; never while a handler runs."""
    if job.state is State.CANCELLED:
        return Admission.CANCELLED
    if job.expires_at is not None and now >= job.expires_at:
        return Admission.EXPIRED
    if job.run_at > now:
        return Admission.NOT_DUE
    return Admission.RUN


def next_retry_delay(job: Job, roll: float) -> float:
    """Seconds until the retry, should the run that is under way fail.  *roll* is in [0, 1)."""
    return job.backoff.delay(job.failures + 1, roll)


def command_for(outcome: Outcome, job: Job, roll: float) -> Command | None:
    """The one rule from an outcome to the command to write; None where another worker or a caller has written it."""
    match outcome:
        case Returned():
            return Complete(outcome.result)
        case Raised(error) | TimedOut(error) | UnknownTask(error):
            return Fail(cut(error), next_retry_delay(job, roll))
        case RetryAsked(error, after):
            return Fail(cut(error), next_retry_delay(job, roll) if after is None else after)
        case Rejected(error) | BadPayload(error):
            return Reject(cut(error))
        case Snoozed(delay):
            return Snooze(delay)
        case Interrupted():
            return Release()
        case Expired():
            return Expire()
        case CancelledByUser() | LeaseLost():
            return None
    assert_never(outcome)
