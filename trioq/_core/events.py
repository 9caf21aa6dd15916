"""One frozen class per event.  Delivery lives in the bus.

A job event is made from the job's record after the change (``JobFailed.of(job, at)``).  Where there is no subscriber,
none is built.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final, Self

import attrs

from .job import Job


@attrs.frozen(kw_only=True)
class Event:
    """What every event has."""

    name: ClassVar[str]
    queue: str | None  #: None where the event is about no single queue
    at: float  #: store time, UTC epoch seconds


@attrs.frozen(kw_only=True)
class JobEvent(Event):
    """What every event about a job has."""

    job: Job  #: the record after the change
    worker: str | None
    run: int
    attempt: int

    @classmethod
    def of(cls, job: Job, at: float) -> Self:
        """The event about *job* as it is now."""
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
        """The attempt that this kind of event is about."""
        return job.attempt

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        """The fields that this kind adds."""
        return {}


@attrs.frozen(kw_only=True)
class JobEnqueued(JobEvent):
    """A new job was stored."""

    name = "job:enqueued"


@attrs.frozen(kw_only=True)
class JobStarted(JobEvent):
    """A handler begins."""

    name = "job:started"


@attrs.frozen(kw_only=True)
class JobProgress(JobEvent):
    """A handler reported progress.  Coalesced: a slow subscriber sees the last one."""

    name = "job:progress"
    progress: Any

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        return {"progress": job.progress}


@attrs.frozen(kw_only=True)
class JobCompleted(JobEvent):
    """The handler returned, and that is stored."""

    name = "job:completed"
    duration: float  #: seconds from claim to settle

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        return {"duration": _duration(job)}


@attrs.frozen(kw_only=True)
class JobRetrying(JobEvent):
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


@attrs.frozen(kw_only=True)
class JobSnoozed(JobEvent):
    """The handler put the job off."""

    name = "job:snoozed"
    delay: float

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        return {"delay": max(0.0, job.run_at - at)}


@attrs.frozen(kw_only=True)
class JobFailed(JobEvent):
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


@attrs.frozen(kw_only=True)
class JobExpired(JobEvent):
    """The TTL ran out before a handler started: a dead letter."""

    name = "job:expired"


@attrs.frozen(kw_only=True)
class JobCancelled(JobEvent):
    """A caller cancelled the job."""

    name = "job:cancelled"
    reason: str

    @classmethod
    def _details(cls, job: Job, at: float) -> dict[str, Any]:
        return {"reason": job.cancel_reason or ""}


@attrs.frozen(kw_only=True)
class JobReleased(JobEvent):
    """A claimed job went back, unstarted or interrupted by a shutdown; no attempt was spent."""

    name = "job:released"


@attrs.frozen(kw_only=True)
class JobLost(JobEvent):
    """This worker's write came too late: another worker or a caller moved the job to *state* first."""

    name = "job:lost"
    state: str  #: the state that won, or "gone"


@attrs.frozen(kw_only=True)
class JobStalled(JobEvent):
    """A lease ran out; the job is ready again."""

    name = "job:stalled"


@attrs.frozen(kw_only=True)
class JobRequeued(JobEvent):
    """A caller requeued an ended job."""

    name = "job:requeued"


@attrs.frozen(kw_only=True)
class QueuePaused(Event):
    """The queue hands out nothing from now on."""

    name = "queue:paused"


@attrs.frozen(kw_only=True)
class QueueResumed(Event):
    """The queue hands out jobs again."""

    name = "queue:resumed"


@attrs.frozen(kw_only=True)
class WorkerEvent(Event):
    """What every event about a worker has."""

    worker: str
    queues: tuple[str, ...]


@attrs.frozen(kw_only=True)
class WorkerStarted(WorkerEvent):
    """The worker is about to make its first claim."""

    name = "worker:started"


@attrs.frozen(kw_only=True)
class WorkerDraining(WorkerEvent):
    """The worker claims no more; what runs has *grace* seconds."""

    name = "worker:draining"
    grace: float


@attrs.frozen(kw_only=True)
class WorkerStopped(WorkerEvent):
    """The worker has settled what it could and ended."""

    name = "worker:stopped"


@attrs.frozen(kw_only=True)
class BackendLost(WorkerEvent):
    """The store can't be reached; the worker goes on and tries again."""

    name = "backend:lost"
    error: str


@attrs.frozen(kw_only=True)
class BackendRecovered(WorkerEvent):
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
