"""One frozen class per event.  Delivery lives in the bus.

A job event is made from the job's record after the change that it tells of (``JobFailed.of(job, at)``), so nothing
is built where nobody listens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final, Self

import msgspec

from .job import Job


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every event has."""

    name: ClassVar[str]
    queue: str | None  #: None where the event is about no single queue
    at: float  #: store time, UTC epoch seconds


class JobEvent(Event, frozen=True, kw_only=True, gc=False):
    """What every event about a job has."""

    job: Job  #: the record after the change
    worker: str | None
    run: int
    attempt: int

    @classmethod
    def of(cls, job: Job, at: float) -> Self:
        """The event that tells of *job* as it is now."""
        return cls(
            queue=job.queue,
            at=at,
            job=job,
            worker=job.worker,
            run=job.run,
            attempt=cls._attempt(job),
            **cls._details(job, at),
        )

    @classmethod
    def _attempt(cls, job: Job) -> int:
        """The attempt that this kind tells of."""
        return job.attempt

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        """What this kind adds."""
        return {}


class JobEnqueued(JobEvent, frozen=True, kw_only=True, gc=False):
    """A new job was stored."""

    name = "job:enqueued"


class JobStarted(JobEvent, frozen=True, kw_only=True, gc=False):
    """A handler begins."""

    name = "job:started"


class JobProgress(JobEvent, frozen=True, kw_only=True, gc=False):
    """A handler reported progress.  Coalesced: a slow subscriber sees the last one."""

    name = "job:progress"
    progress: Any

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        return {"progress": job.progress}


class JobCompleted(JobEvent, frozen=True, kw_only=True, gc=False):
    """The handler returned, and that is stored."""

    name = "job:completed"
    duration: float  #: seconds from claim to settle

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        return {"duration": _duration(job)}


class JobRetrying(JobEvent, frozen=True, kw_only=True, gc=False):
    """A run failed; another one follows after *delay* seconds."""

    name = "job:retrying"
    error: str
    delay: float

    @classmethod
    def _attempt(cls, job: Job) -> int:
        return job.failures  # the attempt that failed, not the next one

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        return {"error": job.error or "", "delay": max(0.0, job.run_at - at)}


class JobSnoozed(JobEvent, frozen=True, kw_only=True, gc=False):
    """The handler put the job off."""

    name = "job:snoozed"
    delay: float

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        return {"delay": max(0.0, job.run_at - at)}


class JobFailed(JobEvent, frozen=True, kw_only=True, gc=False):
    """The job failed for good: a dead letter."""

    name = "job:failed"
    error: str
    duration: float

    @classmethod
    def _attempt(cls, job: Job) -> int:
        # The attempt that failed, which a failure has counted already and a crash has not.
        return job.attempt if job.crashes >= job.max_crashes else job.failures

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        return {"error": job.error or "", "duration": _duration(job)}


class JobExpired(JobEvent, frozen=True, kw_only=True, gc=False):
    """The TTL ran out before a handler started: a dead letter."""

    name = "job:expired"


class JobCancelled(JobEvent, frozen=True, kw_only=True, gc=False):
    """Somebody cancelled the job."""

    name = "job:cancelled"
    reason: str

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        return {"reason": job.cancel_reason or ""}


class JobReleased(JobEvent, frozen=True, kw_only=True, gc=False):
    """A claimed job went back, unstarted or interrupted by a shutdown; no attempt was spent."""

    name = "job:released"


class JobLost(JobEvent, frozen=True, kw_only=True, gc=False):
    """This worker's write came too late: somebody else moved the job to *state* first."""

    name = "job:lost"
    state: str  #: the state that won, or "gone"


class JobStalled(JobEvent, frozen=True, kw_only=True, gc=False):
    """A lease ran out; the job is ready again."""

    name = "job:stalled"


class JobRequeued(JobEvent, frozen=True, kw_only=True, gc=False):
    """Somebody sent an ended job round again."""

    name = "job:requeued"


class QueuePaused(Event, frozen=True, kw_only=True, gc=False):
    """The queue hands out nothing from now on."""

    name = "queue:paused"


class QueueResumed(Event, frozen=True, kw_only=True, gc=False):
    """The queue hands out jobs again."""

    name = "queue:resumed"


class WorkerEvent(Event, frozen=True, kw_only=True, gc=False):
    """What every event about a worker has."""

    worker: str
    queues: tuple[str, ...]


class WorkerStarted(WorkerEvent, frozen=True, kw_only=True, gc=False):
    """The worker is about to make its first claim."""

    name = "worker:started"


class WorkerDraining(WorkerEvent, frozen=True, kw_only=True, gc=False):
    """The worker claims no more; what runs has *grace* seconds."""

    name = "worker:draining"
    grace: float


class WorkerStopped(WorkerEvent, frozen=True, kw_only=True, gc=False):
    """The worker has settled what it could and ended."""

    name = "worker:stopped"


class BackendLost(WorkerEvent, frozen=True, kw_only=True, gc=False):
    """The store can't be reached; the worker goes on and tries again."""

    name = "backend:lost"
    error: str


class BackendRecovered(WorkerEvent, frozen=True, kw_only=True, gc=False):
    """The store answers again, after *outage* seconds."""

    name = "backend:recovered"
    outage: float


def _names(kind: type[Event]) -> Iterator[str]:
    if "name" in vars(kind):
        yield kind.name
    for narrower in kind.__subclasses__():
        yield from _names(narrower)


#: The name of every event there is.
EVENT_NAMES: Final = frozenset(_names(Event))


def _duration(job: Job) -> float:
    if job.started_at is None or job.finished_at is None:
        return 0.0
    return max(0.0, job.finished_at - job.started_at)
