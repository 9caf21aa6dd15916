"""The store of a simulated world: a real backend that does one thing after another, and notes each in the history.

How requests get there is in ``network``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any

import trio

from ..._core.job import Job
from ..._core.lifecycle import Change
from ...backends._base import Backend, Claimed, Inserted, Lease, Presence, Renewed, Settled, Verdict
from . import history
from .history import Write


class Server:
    """Does each request, one at a time, and writes its effect into the history."""

    def __init__(self, backend: Backend, nursery: trio.Nursery, write: Write) -> None:
        self.backend = backend
        self.records: dict[tuple[str, str], Job] = {}  #: as they should be, by all that was done
        self._nursery = nursery
        self._write = write
        self.lock = trio.Lock()  #: held by the request that is being done
        self._no_process = Context()  #: in which no process is the current one

    def post(self, deliver: Callable[[], Awaitable[None]]) -> None:
        """Run *deliver* at the store's end of the wire, in a task of no process."""
        self._no_process.run(self._nursery.start_soon, deliver)

    async def do(self, by: str, verb: str, args: tuple[Any, ...]) -> Any:
        """Ask the backend, and note the effect in the history at once."""
        async with self.lock:
            reply = await getattr(self.backend, verb)(*args)
            match reply:
                case Inserted():
                    self._inserted(by, reply)
                case Claimed():
                    self._claimed(by, reply)
                case Settled():
                    self._settled(by, args[0], reply)
                case Renewed():
                    self._renewed(by, args[0], args[1], reply)
            if verb in ("pause", "resume"):
                self._write(history.Paused(reply, by, args[0], verb == "pause"))
            return reply

    def _put(self, job: Job) -> Job | None:
        before = self.records.get((job.queue, job.id))
        self.records[job.queue, job.id] = job
        return before

    def _inserted(self, by: str, reply: Inserted) -> None:
        for job, created in zip(reply.jobs, reply.created, strict=True):
            if created:
                self._put(job)
                self._write(history.Inserted(reply.now, by, job))

    def _claimed(self, by: str, reply: Claimed) -> None:
        for job in reply.jobs:
            before = self._put(job)
            self._write(history.Claimed(reply.now, by, before or job, job))

    def _settled(self, by: str, changes: Sequence[Change], reply: Settled) -> None:
        for change, verdict in zip(changes, reply.verdicts, strict=True):
            before = self.records.get((change.queue, change.id))
            if verdict is not Verdict.STORED:
                self._write(history.Refused(reply.now, by, change, verdict, before))
            elif before is None or not _is_there(change, before):
                # The rules say whether it should have been stored over that.
                before = before or Job(id=change.id, queue=change.queue, task="?")
                job = before.after(change)
                self._put(job)
                self._write(history.Stored(reply.now, by, before, change, job))

    def _renewed(self, by: str, worker: Presence, leases: Sequence[Lease], reply: Renewed) -> None:
        for lease in leases:
            job = self.records.get((lease.queue, lease.id))
            if job is not None and lease not in reply.lost:
                fields = {"lease_until": reply.now + worker.lease}
                job = job.having(fields if lease.progress is None else {**fields, "progress": lease.progress})
                self._put(job)
                self._write(history.Renewed(reply.now, by, job))


def _is_there(change: Change, job: Job) -> bool:
    """Whether the record is what the change would make of it, so that storing it again did nothing."""
    same = (job.seq, job.version) == (change.seq, change.version + 1)
    return same and all(getattr(job, name) == value for name, value in change.fields.items())
