"""One start of a worker: the state that its stages share.  No stage's work is done here."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Final

import attrs
import trio
from trio_util import RepeatedEvent

from .._bus import event_emitter
from .._context import make_running_jobs
from .._core.errors import BackendUnavailable
from .._core.events import BackendLost, BackendRecovered, JobProgress, WorkerDraining, WorkerEvent
from .._core.job import Job
from .._core.outcome import Outcome
from .._core.settings import Settings
from .._queue import Queue
from .._rate_limiter import RateLimiter
from ..backends import Backend
from ..backends._base import Lease, Presence
from ..sandbox import Sandbox
from .active_job import ActiveJob, Reason
from .store_client import StoreClient

logger: Final = logging.getLogger("trioq.worker")

#: Seconds that the store gets, once the handlers ended, to take the last outcomes.
LAST_WRITES: Final = 5.0


def new_identity(name: str) -> str:
    """A worker's identity: its name and a random part, new at each start."""
    return f"{name}:{secrets.token_hex(6)}"


def default_name() -> str:
    """A worker's name where none was given."""
    return f"{socket.gethostname()}-{os.getpid()}"[:200]


Ending = tuple[ActiveJob, Outcome]


@attrs.frozen(kw_only=True)
class Limits:
    """The numbers of one start, in seconds where they are times."""

    lease: float
    grace: float
    settings: Settings

    @property
    def quarter(self) -> float:
        """How often leases are renewed and the overdue swept."""
        return self.lease / 4


class WorkerRun:
    """One start of a worker."""

    def __init__(
        self,
        *,
        queues: Mapping[str, Queue],
        backend: Backend,
        slots: trio.CapacityLimiter,
        rate: RateLimiter | None,
        limits: Limits,
        identity: str,
        name: str,
        owns_name: bool = True,
    ) -> None:
        self.queues = queues
        self.slots = slots
        self.rate = rate
        self.limits = limits
        self.max_payload = limits.settings.max_payload_bytes
        self.identity = identity
        self.name = name
        self.owns_name = owns_name  #: whether every lease under this identity is ours
        self.resources: Any = None
        self.sandbox = Sandbox()
        self.store = StoreClient(backend, limits.lease, self._on_lost, self._on_recovered)

        #: Every job from its claim to its settle: all of them are renewed, and the run ends when there are none.
        self.held: dict[tuple[str, str], ActiveJob] = make_running_jobs(backend)
        self.displaced: set[ActiveJob] = set()  #: lost, because a later run of their jobs is held; still under way
        #: Leases given up unsettled, ``(queue, id, run)``: they are left to run out, not released.
        self.abandoned: set[tuple[str, str, int]] = set()
        self.counts: defaultdict[str, int] = defaultdict(int)  # a Counter takes three times as long to count one
        self.unsettled = 0

        # Handing over an outcome must not wait, or a cancellation could lose finished work there.  So outcomes join the
        # batch on its way to settle.  A new one begins when settle has taken that: a buffer of 1 is enough.
        self._hand_over, self.outcomes = trio.open_memory_channel[list[Ending]](1)
        self._ended: list[Ending] = []

        self.claim_asked_at = inf  #: Trio time when the claim under way was sent; inf without one
        self.ready = trio.Event()  #: a hint: a claim may find something
        self.claim_when_settled = False  #: whether a settle is such a hint
        self.renew_now = trio.Event()  #: a hint: a held job was cancelled
        self.cancel_hints = 0  #: how many hints of cancelled jobs came
        self.settled = RepeatedEvent()  #: something was settled
        self.renewed = RepeatedEvent()  #: the store has just answered a renewal

        #: Seconds between two renewals while nothing is held: they show presence, and the sweep follows them.
        self.resting = limits.quarter
        self.next_renewal = trio.current_time() + limits.quarter
        self.renewed_at = -inf  #: Trio time of the last answer to a renewal.  Written by renew, read by sweep

        self.draining = False
        self.claiming = trio.CancelScope()  #: around dequeue, sweep and prune: what ends first
        self.drain = trio.CancelScope()  #: around the handlers; its deadline is the end of the grace
        self.last_writes = trio.CancelScope()  #: around settle; its deadline is set when the handlers ended
        self.thread_deadline = inf  #: when a thread that does not end is abandoned
        self.thread_waits: set[trio.CancelScope] = set()  #: around the waits for such threads
        self.interrupt: KeyboardInterrupt | None = None  #: raised in a handler; raised again when the run has ended
        self._token = trio.lowlevel.current_trio_token()

    # --- a job's way through the stages ---

    def hold(self, job: Job, slot: object, start_by: float) -> ActiveJob:
        """Hold a claimed job: from now on it is renewed."""
        active = ActiveJob(job, slot, self.resources, self._on_progress, start_by)
        if not self.held and self.next_renewal > trio.current_time() + self.limits.quarter:
            self.renew_now.set()  # this worker rests no more
        key = job.queue, job.id
        if key in self.held:
            self._displace(self.held[key])
        self.held[key] = active
        return active

    def _displace(self, earlier: ActiveJob) -> None:
        """Stop an earlier run of a job that was claimed anew: its loss was not noticed.  Its handler is waited for."""
        if not earlier.ended:
            earlier.displaced = earlier.cancel(Reason.LEASE_LOST)
            self.displaced.add(earlier)

    def end(self, active: ActiveJob, outcome: Outcome) -> None:
        """End a run: free its slot, and hand its outcome to settle.  Synchronous, so nothing is lost."""
        if active.ended:
            return
        active.ended = True
        self.unsettled += 1
        self.give_back(active)
        if not self._ended:
            self._hand_over.send_nowait(self._ended)
        self._ended.append((active, outcome))

    def begin_batch(self) -> None:
        """Begin another batch of outcomes: settle has taken the last one."""
        self._ended = []

    def give_back(self, active: ActiveJob) -> None:
        """Return the slot, and the rate token of a job whose handler never began."""
        if active.slot is None:
            return
        self.slots.release_on_behalf_of(active.slot)
        active.slot = None
        if self.rate is not None and not active.spent:
            self.rate.give_back()

    def forget(self, active_jobs: Sequence[ActiveJob]) -> None:
        """Hold these jobs no more: they are settled, or not ours any more."""
        for active in active_jobs:
            key = active.job.queue, active.job.id
            self.displaced.discard(active)
            if self.held.get(key) is active:  # else the next run was claimed before we knew that this one had ended
                del self.held[key]
        self.unsettled -= len(active_jobs)
        self.settled.set()
        if self.claim_when_settled:
            self.ready.set()

    def abandon(self, active: ActiveJob) -> None:
        """Give the job up unsettled: its lease is left to run out."""
        if not active.ended:
            active.ended = True
            self.unsettled += 1
            self.give_back(active)
        self.abandoned.add((active.job.queue, active.job.id, active.job.run))
        self.forget([active])

    def close_outcomes(self) -> None:
        """Close the channel of outcomes: settle ends when it has taken the last."""
        self._hand_over.close()

    @property
    def idle(self) -> bool:
        """Whether this worker holds no job at all, and runs none that it has lost."""
        return not self.held and not self.displaced

    # --- leases ---

    @property
    def period(self) -> float:
        """Seconds until the next renewal."""
        return self.limits.quarter if self.held else self.resting

    def hear_of_cancel(self) -> None:
        """Note a hint that a caller has cancelled a held job, maybe one of ours."""
        self.cancel_hints += 1
        self.renew_now.set()

    @property
    def stood_still(self) -> bool:
        """Whether a claim is under way for so long that this process must have stood still: its reply is unread."""
        return trio.current_time() - self.claim_asked_at >= self.limits.lease / 2

    def presence(self) -> Presence:
        """The presence of this worker, which a renewal shows."""
        return Presence(
            worker=self.identity,
            name=self.name,
            host=socket.gethostname(),
            slots=int(min(self.slots.total_tokens, 2**31 - 1)),
            lease=self.limits.lease,
            leaving=self.draining,
        )

    def leases(self) -> list[Lease]:
        """The leases to renew: every job from its claim to its settle."""
        return [Lease(held.job.queue, held.job.id, held.job.run, held.progress) for held in self.held.values()]

    # --- the end ---

    def stop(self, grace: float) -> None:
        """Claim no more; running handlers have *grace* seconds.  A second call can only make the grace shorter."""
        deadline = trio.current_time() + grace
        if not self.draining:
            self.draining = True
            self.claiming.cancel()
            logger.info("worker %s drains: %d running, grace %g s", self.name, len(self.held), grace)
            self.emit(WorkerDraining, grace=grace)
        if deadline < self.drain.deadline:
            self.drain.deadline = deadline
            self.thread_deadline = deadline + LAST_WRITES
            for scope in self.thread_waits:
                scope.deadline = self.thread_deadline

    def begin_last_writes(self) -> None:
        """Give the store its last seconds to take outcomes: the handlers have ended."""
        self.last_writes.deadline = trio.current_time() + LAST_WRITES

    # --- events ---

    def emit(self, kind: type[WorkerEvent], **details: Any) -> None:
        """Emit an event about this worker."""
        if event_emitter.wants(kind.name):
            event_emitter.emit(
                kind(queue=None, at=self.store.now(), worker=self.identity, queues=tuple(self.queues), **details)
            )

    def _on_lost(self, error: BackendUnavailable) -> None:
        self.emit(BackendLost, error=str(error))

    def _on_recovered(self, outage: float) -> None:
        self.emit(BackendRecovered, outage=outage)

    def _on_progress(self, active: ActiveJob) -> None:
        if event_emitter.wants(JobProgress.name):
            # Called from handlers' threads, too; many reports within one turn of the loop make one event.
            self._token.run_sync_soon(self._tell_progress, active, idempotent=True)

    def _tell_progress(self, active: ActiveJob) -> None:
        job = active.job.having({"progress": active.progress})
        event_emitter.tell(JobProgress, job, self.store.now())
