"""The job record, its states, and the invariants of one record.  Transitions live in ``lifecycle``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import attrs

from . import payload as _payload
from .backoff import Backoff, Exponential

if TYPE_CHECKING:
    from .lifecycle import Change

#: A priority is a 16-bit integer; lower runs first.
LOWEST_PRIORITY: Final = 2**15 - 1
HIGHEST_PRIORITY: Final = -(2**15)


class Shelf(StrEnum):
    """All that a backend needs to know of a state.  A new state needs no new schema."""

    READY = "ready"  #: may be claimed
    TIMED = "timed"  #: may be claimed once ``run_at`` has come
    HELD = "held"  #: claimed, under a lease
    PARKED = "parked"  #: waits for something other than time
    FINAL = "final"  #: ended; only an explicit requeue moves it


class State(StrEnum):
    """Where a job stands in its life."""

    WAITING = "waiting"
    DELAYED = "delayed"
    BLOCKED = "blocked"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def shelf(self) -> Shelf:
        """The shelf that jobs in this state lie on."""
        return _SHELF[self]

    @property
    def final(self) -> bool:
        """Whether only an explicit requeue leaves this state."""
        return _SHELF[self] is Shelf.FINAL


_SHELF: Final = {
    State.WAITING: Shelf.READY,
    State.DELAYED: Shelf.TIMED,
    State.BLOCKED: Shelf.PARKED,
    State.ACTIVE: Shelf.HELD,
    State.COMPLETED: Shelf.FINAL,
    State.FAILED: Shelf.FINAL,
    State.EXPIRED: Shelf.FINAL,
    State.CANCELLED: Shelf.FINAL,
}

#: The final states that need attention.
DEAD: Final = frozenset({State.FAILED, State.EXPIRED})

#: The other final states.
DONE: Final = frozenset(state for state in State if state.final) - DEAD


# Not slotted, unlike every other value here.  A job is copied at each step of its life, and copying one dict costs a
# tenth of copying forty slots.
@attrs.frozen(kw_only=True, slots=False)
class Job:
    """One request to run a task: a frozen record with a state.

    Times are UTC epoch seconds by the store's clock, durations are seconds.
    """

    id: str  #: unique within its queue for as long as the record is kept
    queue: str
    task: str  #: the name of the task, never an import path
    payload: bytes = _payload.NO_ARGUMENTS  #: the arguments, opaque to every backend
    seq: int = 0  #: given by the store at insert, never used twice
    state: State = State.WAITING
    version: int = 0  #: grows by one at every change: what compare-and-swap compares

    priority: int = 0  #: a 16-bit integer; lower runs first
    delay: float | None = None  #: as given at enqueue; ``run_at`` follows from it
    ttl: float | None = None  #: how long after ``created_at`` (or a requeue) it may still start
    timeout: float | None = None  #: how long one run of the handler may take
    max_retries: int = 3  #: it fails for good when ``failures`` exceeds this
    max_crashes: int = 3  #: it fails for good when ``crashes`` reaches this
    backoff: Backoff = Exponential()
    unique_key: str | None = None  #: at most one job that is not final has it
    metadata: Mapping[str, Any] = attrs.Factory(dict)

    created_at: float = 0.0
    run_at: float = 0.0  #: when it is, was or becomes ready; ties are broken by ``seq``
    expires_at: float | None = None
    started_at: float | None = None  #: when it was last claimed
    finished_at: float | None = None  #: set exactly when the state is final

    run: int = 0  #: counts claims and is never decremented: it fences a stale owner
    failures: int = 0  #: runs that raised or timed out
    crashes: int = 0  #: runs whose lease ran out
    snoozes: int = 0  #: runs that the handler put off

    worker: str | None = None  #: the worker that holds it, or held it last
    lease_until: float | None = None  #: set exactly while the job is held
    progress: Any = None  #: what the handler last reported
    result: bytes | None = None  #: what the handler returned, encoded
    error: str | None = None  #: how the last failed run ended
    cancel_reason: str | None = None

    key: str | None = None  #: stored, unused: for limits per key
    parent: str | None = None  #: stored, unused: for flows
    extra: Mapping[str, Any] = attrs.Factory(dict)  #: fields that a newer trioq wrote, kept as they are
    unreadable: str | None = None  #: why the stored record could not be read; such a job is rejected

    def __attrs_post_init__(self) -> None:
        # A dict that grew key by key keeps room for twice as many, and so would every copy of it.
        object.__setattr__(self, "__dict__", {**self.__dict__})

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1: releases, snoozes and crashes spend none."""
        return self.failures + 1

    @property
    def delay_until(self) -> float:
        """An alias of ``run_at``."""
        return self.run_at

    @property
    def last_life(self) -> bool:
        """Whether one more crash ends it: such a job is claimed alone, so that it can take no other job down."""
        return self.crashes >= self.max_crashes - 1

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """The positional and keyword arguments as they were enqueued, before any annotation is applied."""
        return _payload.read(self.payload)

    def after(self, change: Change) -> Job:
        """The record after *change* is stored."""
        return self.having(change.fields)

    def having(self, fields: dict[str, Any]) -> Job:
        """A copy with *fields* replaced, ten times as fast as ``attrs.evolve``: nothing is validated."""
        copy: Job = _new(Job)
        values = copy.__dict__
        values |= self.__dict__
        values |= fields
        return copy


_new: Final = object.__new__


def broken_rules(job: Job) -> list[str]:
    """The names of the invariants that this one record breaks; empty for every job that trioq stores."""
    return list(_broken(job))


def _broken(job: Job) -> Iterator[str]:
    shelf = job.state.shelf
    if (job.lease_until is not None) != (shelf is Shelf.HELD):
        yield "a lease exactly while held"
    if shelf is Shelf.HELD and job.worker is None:
        yield "a held job has an owner"
    if (job.finished_at is not None) != job.state.final:
        yield "finished_at exactly when final"
    if (job.cancel_reason is not None) != (job.state is State.CANCELLED):
        yield "a cancel reason exactly when cancelled"
    if job.result is not None and job.state is not State.COMPLETED:
        yield "a result only when completed"
    if job.state is State.FAILED and job.error is None:
        yield "a failed job has an error"
    if job.state is State.EXPIRED and job.expires_at is None:
        yield "only a job with a TTL expires"
    if (job.ttl is None) != (job.expires_at is None):
        yield "expires_at exactly when there is a ttl"
    if min(job.run, job.failures, job.crashes, job.snoozes, job.version) < 0:
        yield "counters never go below zero"
    if job.failures + job.crashes + job.snoozes > job.run:
        yield "a run is counted before it ends"
    if job.run > job.version:
        yield "every claim is a change"
    if not job.state.final and (job.failures > job.max_retries or job.crashes >= job.max_crashes):
        yield "a job within its limits, or final"
    if not HIGHEST_PRIORITY <= job.priority <= LOWEST_PRIORITY:
        yield "a priority of 16 bits"
