"""The handle of a job, for the producer that enqueued it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from ._core.errors import JobCancelled, JobExpired, JobFailed, JobNotFound
from ._core.job import Job, State
from ._core.payload import Codec

if TYPE_CHECKING:
    from ._queue import Queue

R_co = TypeVar("R_co", covariant=True)


class JobHandle(Generic[R_co]):
    """One job in its queue.  It holds no connection and no state: each call asks the store."""

    def __init__(self, queue: Queue, id: str, *, created: bool, result: Codec) -> None:
        self._queue = queue
        self._id = id
        self._created = created
        self._codec = result

    def __repr__(self) -> str:
        return f"<JobHandle {self._id!r} of queue {self._queue.name!r}>"

    @property
    def id(self) -> str:
        """The job's id, unique within its queue."""
        return self._id

    @property
    def created(self) -> bool:
        """False where the id, or the unique key, existed already: then this is the handle of that job.

        A unique key may be held by a job of another task; its `result` then comes as plain JSON values.
        """
        return self._created

    async def refresh(self) -> Job:
        """The record as stored now.  JobNotFound once it is gone."""
        job = await self._queue.job(self._id)
        if job is None:
            raise JobNotFound(self._queue.name, self._id)
        return job

    async def state(self) -> State:
        """The state as stored now.  JobNotFound once the record is gone."""
        return (await self.refresh()).state

    async def result(self) -> R_co:
        """Wait for the job to end, and return what its handler returned.

        Can be cancelled, and then asked again: put it in ``trio.fail_after``.  Raises JobFailed, JobCancelled,
        JobExpired, or JobNotFound when the record is gone.
        """
        job = await self._queue.wait_ended(self._id)
        if job is None:
            raise JobNotFound(self._queue.name, self._id)
        match job.state:
            case State.COMPLETED:
                result: R_co = self._codec.decode_result(job.result)
                return result
            case State.CANCELLED:
                raise JobCancelled(job.queue, job.id, job.cancel_reason or "")
            case State.EXPIRED:
                raise JobExpired(job.queue, job.id)
            case _:
                raise JobFailed(job.queue, job.id, job.error or "")

    async def cancel(self, reason: str = "") -> bool:
        """Cancel the job, also while it runs.  False when it had ended already."""
        return await self._queue.cancel(self._id, reason)
