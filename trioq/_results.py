"""Waiting for jobs to end: one reader for all waiters of a queue, woken by hints and backed up by a slow poll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import trio

from ._core.batches import WANTED, NextBatch, batches
from ._core.errors import BackendError, BackendNotOpen, BackendUnavailable
from ._core.job import Job
from .backends import Backend
from .backends._base import Hint

#: Seconds between two reads, should every hint get lost.
POLL: Final = 1.0

#: Jobs of which one request asks whether they have ended.
ASKED: Final = 300

#: Jobs in the first read, and in any read: each may have arguments and a result of a MiB.
READ: Final = 8
READ_AT_MOST: Final = 300

#: Seconds between two reads, for each job that is waited for: hints come by the hundred where many jobs end.
PACE: Final = 20e-6


@attrs.define(eq=False)
class _Waiter:
    done: trio.Event = attrs.Factory(trio.Event)
    job: Job | None = None
    error: Exception | None = None


class Results:
    """Waits for jobs of one queue to end.

    A system task reads for all waiters: the store is asked once for each hint, however many wait.  It runs while
    there are waiters.
    """

    def __init__(self, backend: Backend, queue: str) -> None:
        self._backend = backend
        self._queue = queue
        self._waiters: dict[str, list[_Waiter]] = {}
        self._wake = trio.Event()  #: set when another read may find something
        self._reader: trio.CancelScope | None = None
        self._next = NextBatch(READ, most=READ_AT_MOST)

    async def wait(self, id: str) -> Job | None:
        """The job once it is final; None when there is no such job.  Can be cancelled at any time."""
        self._backend.require_open()
        waiter = _Waiter()
        self._waiters.setdefault(id, []).append(waiter)
        if self._reader is None:
            self._reader = trio.CancelScope()
            trio.lowlevel.spawn_system_task(self._read, self._reader, name=f"trioq results of {self._queue}")
        self._wake.set()
        try:
            await waiter.done.wait()
        finally:
            self._forget(id, waiter)
        if waiter.error is not None:
            raise waiter.error
        return waiter.job

    def close(self) -> None:
        """End the reader: the backend is about to be left.  Callers that still wait get BackendNotOpen."""
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        self._fail(BackendNotOpen(self._backend))

    def _forget(self, id: str, waiter: _Waiter) -> None:
        waiters = self._waiters.get(id, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(id, None)
            self._wake.set()  # the reader ends with the last waiter

    async def _read(self, scope: trio.CancelScope) -> None:
        try:
            with scope:
                while self._reader is scope:
                    await self._read_once(scope)
        finally:
            self._leave(scope)

    async def _read_once(self, scope: trio.CancelScope) -> None:
        try:
            async with self._backend.watch_only(Hint.FINISHED, [self._queue]) as hints, trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, hints)
                await self._serve()
                # At once: a caller that comes while this reader ends needs another one.
                self._leave(scope)
                nursery.cancel_scope.cancel()
        except BackendUnavailable:
            await trio.sleep(POLL)  # the waiters decide how long to try
        except Exception as error:  # a system task may not raise, so the waiters do
            self._leave(scope)
            self._fail(error)

    def _leave(self, scope: trio.CancelScope) -> None:
        if self._reader is scope:
            self._reader = None

    async def _serve(self) -> None:
        while self._waiters:
            self._wake = trio.Event()  # before the read: a hint during it makes another
            await self._answer(list(self._waiters))
            await trio.sleep(len(self._waiters) * PACE)
            with trio.move_on_after(POLL):
                await self._wake.wait()

    async def _listen(self, hints: trio.abc.ReceiveChannel[object]) -> None:
        try:
            async for _ in hints:
                self._wake.set()
        except BackendError:
            pass  # from here on only the poll finds jobs that ended

    def _fail(self, error: Exception) -> None:
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.error = error
                waiter.done.set()
        self._waiters.clear()

    async def _answer(self, ids: Sequence[str]) -> None:
        try:
            for asked in batches(ids, len, most=ASKED, most_bytes=WANTED):
                ended = asked
                if len(asked) > READ:
                    over = await self._backend.have_ended(self._queue, asked)
                    ended = [id for id, is_over in zip(asked, over, strict=True) if is_over]
                while ended:
                    few, ended = ended[: self._next.count], ended[self._next.count :]
                    await self._read_jobs(few)
        except BackendUnavailable:
            self._next.note_failure(self._next.count)
            return  # the next read may reach the store again; each waiter's own deadline decides how long to try
        except BackendError as error:
            self._fail(error)

    async def _read_jobs(self, ids: Sequence[str]) -> None:
        found = await self._backend.get(self._queue, ids)
        size = sum(len(job.payload) + len(job.result or b"") for job in found.jobs if job is not None)
        self._next.note_answer(len(ids), size)
        for id, job in zip(ids, found.jobs, strict=True):
            if job is None or job.state.final:
                for waiter in self._waiters.pop(id, ()):
                    waiter.job = job
                    waiter.done.set()
