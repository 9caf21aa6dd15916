"""The contract of a store: it keeps jobs, compares and swaps.  It never decides, except which ready job is next.

Domain verbs only: no query, no vendor word.  `trioq.testing.check_backend` runs this contract against any backend.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Flag, StrEnum, auto
from types import TracebackType
from typing import Any, Final, Self

import attrs
import trio

from .._core.errors import BackendBusy, BackendNotOpen, Unsupported
from .._core.job import Job, State
from .._core.lifecycle import Change

#: Seconds within which a write that was sent is answered, or raises BackendUnavailable.
PATIENCE: Final = 5.0

#: A page of `Backend.find` reads this many records at most.
PAGE: Final = 1_000

#: A worker's presence is dropped after so many seconds without a renewal.
FORGOTTEN: Final = 86_400.0

#: Due delayed jobs that one claim makes ready, at most, in all its queues together.
PROMOTIONS: Final = 1_000

# --- what goes in -------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Presence:
    """One start of a worker, as it renews."""

    worker: str  #: the identity that its claims carry: a name and a random part
    name: str
    host: str
    slots: int
    lease: float  #: how long a claim or renewal lasts, in seconds
    leaving: bool = False  #: it claims no more


@attrs.frozen
class Lease:
    """A claim that its holder wants to keep.  ``run`` fences: a later claim has another run."""

    queue: str
    id: str
    run: int
    progress: Any = attrs.field(default=None, eq=False)  #: saved with the renewal, unless None


@attrs.frozen(kw_only=True)
class Filter:
    """Which jobs `Backend.find` returns."""

    queue: str
    states: frozenset[State] = frozenset(State)
    task: str | None = None


@attrs.frozen(kw_only=True)
class Retention:
    """How long ended jobs are kept (seconds), and how many of them in each queue."""

    keep_completed: float  #: completed and cancelled
    keep_completed_max: int
    keep_dead: float  #: failed and expired
    keep_dead_max: int


# --- what comes back ----------------------------------------------------------------------------

# A reply that a worker calculates with carries the store's now: a worker's clock is the last one that it received.
# Counts, names and the like are compared with no time, so those verbs return plain values.


@attrs.frozen
class Inserted:
    """For each job: the record as stored, and whether it is new.  For a known id or a live key it is that job."""

    now: float
    jobs: Sequence[Job]
    created: Sequence[bool]


@attrs.frozen
class Claimed:
    """Jobs under a lease, and what the worker needs to know to wait well."""

    now: float
    jobs: Sequence[Job]
    next_due: float | None = None  #: when the next timed job of the queues that aren't paused comes due
    paused: frozenset[str] = frozenset()  #: those of the asked queues that hand out nothing
    last_life: bool = False  #: a job waits that must be claimed alone, by an idle worker


class Verdict(StrEnum):
    """The outcome of one change."""

    STORED = "stored"  #: now, or already before
    STALE = "stale"  #: the record has moved on, or is gone
    KEY_TAKEN = "key taken"  #: another live job holds the unique key


@attrs.frozen
class Settled:
    """A verdict for each change, in order."""

    now: float
    verdicts: Sequence[Verdict]


class Loss(StrEnum):
    """Why a worker has lost a lease."""

    RECLAIMED = "reclaimed"
    CANCELLED = "cancelled"
    GONE = "gone"


@attrs.frozen
class Renewed:
    """The listed leases that are lost, and the unlisted ones ``(queue, id)`` that the store holds for this worker."""

    now: float
    lost: Mapping[Lease, Loss]
    unlisted: Sequence[tuple[str, str]] = ()


@attrs.frozen
class Overdue:
    """Active jobs past their lease, and ready or timed ones past their TTL."""

    now: float
    jobs: Sequence[Job]


@attrs.frozen
class Found:
    """For each id its job, or None."""

    now: float
    jobs: Sequence[Job | None]


@attrs.frozen
class Page:
    """Some jobs in order of ``seq``.  It may be short, or empty, and go on: only a cursor of None is the end."""

    now: float
    jobs: Sequence[Job]
    cursor: int | None


class Hint(Flag):
    """What may have happened.  Hints only speed things up; correctness never needs them."""

    READY = auto()  #: work may be ready
    CANCELLED = auto()  #: a held job was cancelled
    FINISHED = auto()  #: jobs ended
    PAUSED = auto()  #: a queue was paused or resumed


# --- the contract -------------------------------------------------------------------------------


class Backend(ABC):
    """Keeps jobs.  ``async with backend`` opens it; any number of users may enter, and leave in any order.

    Every verb is a checkpoint.  It can be cancelled until its request is sent.  From then on a write returns its
    reply or raises BackendUnavailable, within `patience`.  It happens completely or not at all.  After
    BackendUnavailable the outcome of a write is unknown, so every write can be repeated safely.
    """

    #: Seconds that a write may take, at most.  A worker's claim, renewal or settle takes no more than a third of its
    #: lease, either: min(5 s, lease / 3).  Then the worker can try again before others take it for dead.
    patience: float = PATIENCE

    _users: int = 0
    _token: trio.lowlevel.TrioToken | None = None
    _turn: trio.Lock

    # -- lifetime --

    async def __aenter__(self) -> Self:
        token = trio.lowlevel.current_trio_token()
        if self._token is not token:
            if self._users and self._token is not None and _alive(self._token):
                raise BackendBusy(self)
            self._users, self._token, self._turn = 0, token, trio.Lock()
        async with self._turn:
            if self._users == 0:
                await self._start()
            self._users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with trio.CancelScope(shield=True):
            async with self._turn:
                self._users -= 1
                if self._users == 0:
                    with trio.move_on_after(PATIENCE):
                        await self._stop()

    @property
    def opened(self) -> bool:
        """Whether a user in this ``trio.run`` has it open."""
        return self._users > 0 and self._token is trio.lowlevel.current_trio_token()

    def require_open(self) -> None:
        """Raise BackendNotOpen unless the backend is open, and BackendBusy where another ``trio.run`` has it open."""
        if self.opened:
            return
        if self._users and self._token is not None and _alive(self._token):
            raise BackendBusy(self)
        raise BackendNotOpen(self)

    async def _start(self) -> None:
        """Begin the I/O when the first user enters, in system tasks or threads: no user's nursery could hold it."""

    async def _stop(self) -> None:
        """End the I/O when the last user has left."""

    # -- verbs --

    @abstractmethod
    async def insert(self, jobs: Sequence[Job]) -> Inserted:
        """Add new jobs of any queues, in one round trip, each stamped (`trioq.lifecycle.stamp`) with a fresh seq.

        For an id that the queue has, or a unique key that a live job of it has, that job is returned instead, marked
        as not created.  The first of a batch wins.
        """

    @abstractmethod
    async def claim(self, queues: Sequence[str], limit: int, worker: str, lease: float, idle: bool) -> Claimed:
        """Atomically lease up to *limit* ready or due jobs for *lease* seconds, from the queues in the order given.

        Within a queue by priority, then time of readiness, then seq; paused queues hand out nothing.  A job on its
        last life goes only to an *idle* worker, and alone; it goes first.  Each job equals its pure Claim step.
        One claim may make no more than 1,000 due jobs ready; then ``next_due`` has come already.  With a *limit* of 0
        it hands out nothing, and reports what waits.
        """

    @abstractmethod
    async def settle(self, changes: Sequence[Change]) -> Settled:
        """Store each change whose job still has the id, seq and version that it names, and the lease if it names one.

        A change with others in ``also`` and ``inserts`` is stored with all of them or not at all.  A change that
        is already stored answers stored.
        """

    @abstractmethod
    async def renew(self, worker: Presence, leases: Sequence[Lease]) -> Renewed:
        """Extend the leases to now + ``worker.lease`` and save their progress; versions stay.

        Compares (id, run), also past the deadline: a lease is lost only when another client took it.  Records that
        the worker is there.
        """

    @abstractmethod
    async def overdue(self, limit: int) -> Overdue:
        """Return up to *limit* jobs of all queues: active past their lease, or ready or timed past ``expires_at``."""

    @abstractmethod
    async def get(self, queue: str, ids: Sequence[str]) -> Found:
        """Return these jobs as they are stored now."""

    async def have_ended(self, queue: str, ids: Sequence[str]) -> list[bool]:
        """Return for each id whether its job is final, or there is none.

        A store that knows without reading payloads and results says so by a method of its own.
        """
        return [job is None or job.state.final for job in (await self.get(queue, ids)).jobs]

    @abstractmethod
    async def find(self, filter: Filter, cursor: int | None = None, limit: int = 100) -> Page:
        """Return a page of the matching jobs, by seq, after *cursor*.  It reads 1,000 records at most."""

    @abstractmethod
    async def counts(self, queue: str) -> dict[State, int]:
        """Count the jobs in each state.  Every state is there, and exact."""

    @abstractmethod
    async def queues(self) -> list[str]:
        """Return the names of the queues that have a record, or are paused."""

    @abstractmethod
    async def pause(self, queue: str) -> float:
        """Hand out no more jobs, and return the store's now.  Claimed jobs still run; delays and TTLs run on."""

    @abstractmethod
    async def resume(self, queue: str) -> float:
        """Hand out jobs again, and return the store's now."""

    @abstractmethod
    async def is_queue_paused(self, queue: str) -> bool:
        """Whether the queue is paused."""

    @abstractmethod
    def watch(self, queues: Sequence[str]) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Hint]]:
        """Open a channel of hints about these queues.  Level-triggered and coalesced: a slow reader misses no kind."""

    def watch_only(
        self, hints: Hint, queues: Sequence[str]
    ) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Hint]]:
        """Like `watch`, for a caller that needs only these *hints*: a store may leave out the others.

        Workers, and callers that wait for results, call this.  Unless a store overrides it, it calls `watch`.
        """
        return self.watch(queues)

    @abstractmethod
    async def remove(self, queue: str, ids: Sequence[str]) -> list[bool]:
        """Drop these records; return False for active jobs and unknown ids, which are refused."""

    @abstractmethod
    async def prune(self, queues: Sequence[str], limits: Retention, batch: int = 1_000) -> int:
        """Drop up to *batch* ended jobs of these queues that are past retention, and return how many; 0 is the end.

        Records that another transaction works on are left for later.
        """

    @abstractmethod
    async def workers(self) -> list[Presence]:
        """Return the workers that have renewed within their lease, now or a moment ago."""

    async def insert_within(self, transaction: Any, jobs: Sequence[Job]) -> Inserted:
        """Like `insert`, as a part of the caller's own *transaction*: the jobs are there once it commits, or never.

        Each backend that has transactions says what it takes.  With no jobs it only checks *transaction*.
        """
        raise Unsupported(self, "within")

    async def migrate(self) -> None:
        """Bring the store's layout up to date, where opening it doesn't.  The store need not be open."""
        raise Unsupported(self, "migrate")


def _alive(token: trio.lowlevel.TrioToken) -> bool:
    try:
        token.run_sync_soon(lambda: None)
    except trio.RunFinishedError:
        return False
    return True
