"""Keeps the workers of a simulated world running: when one has died or left, a new process takes its place."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import attrs
import trio

from ..._core.settings import Settings
from ..._rate_limiter import RateLimiter
from ..._worker.worker import Worker
from ...backends._base import PATIENCE
from .clients import Handlers
from .history import Broke, Died, Started, Stopped, Write
from .network import Connection, End, Wire
from .plan import WorkerSpec
from .processes import Process, current_process, now
from .server import Server

#: Seconds that a worker gives its handlers when the world stops all workers.
GRACE: Final = 5.0


@attrs.frozen(eq=False)
class Life(End):
    """One process of a worker."""

    worker: Worker


class Supervisor:
    """Keeps one worker of each name running."""

    def __init__(
        self,
        server: Server,
        wires: Mapping[str, Wire],
        handlers: Handlers,
        nursery: trio.Nursery,
        write: Write,
        last_words: Mapping[str, str],
    ) -> None:
        self.at_work: dict[str, Life] = {}  #: by the worker's name
        self.lives: list[Life] = []  #: every process that ever worked, the dead ones too
        self._server = server
        self._wires = wires
        self._handlers = handlers
        self._nursery = nursery
        self._write = write
        self._last_words = last_words
        self._closing = False

    async def keep(self, spec: WorkerSpec) -> None:
        """Run this worker in one process after another."""
        wire, number = self._wires[spec.name], 0
        while not self._closing:
            number += 1
            process = Process(f"{spec.name}.{number}")
            process.skew, wire.restart = wire.skew, 1.0
            self._begin(spec, process, wire)
            await process.gone.wait()
            del self.at_work[spec.name]
            if process.dead:
                self._write(Died(now(), process.name))
            await trio.sleep(wire.restart)

    def close(self) -> None:
        """Stop all workers; no new process takes over."""
        self._closing = True
        for life in self.at_work.values():
            self.stop(life, GRACE)

    def stop(self, life: Life, grace: float) -> None:
        """Tell a worker to stop, as a signal would: the call happens in its own process, once that can run."""

        async def deliver() -> None:  # noqa: ASYNC124  only a task can belong to a process
            life.worker.stop(grace)

        life.process.start_soon(self._nursery, deliver)

    def _begin(self, spec: WorkerSpec, process: Process, wire: Wire) -> None:
        connection = Connection(self._server, wire, process, min(PATIENCE, spec.lease / 3), self._write)
        slots = trio.CapacityLimiter(spec.concurrency)
        rate = RateLimiter(spec.rate_limit, spec.rate_interval) if spec.rate_limit is not None else None
        worker = Worker(
            *(self._handlers.queue(name, connection) for name in spec.queues),
            concurrency=slots,
            rate_limit=rate,
            lease=spec.lease,
            grace=GRACE,
            name=process.name,
            handle_signals=False,
            settings=Settings(),
        )
        life = self.at_work[spec.name] = Life(process, connection, worker)
        self.lives.append(life)
        self._write(Started(now(), process.name, spec))
        process.start_soon(self._nursery, self._work, life, slots, rate)

    async def _work(self, life: Life, slots: trio.CapacityLimiter, rate: RateLimiter | None) -> None:
        name = life.process.name
        try:
            await life.worker.start()
        except Exception as error:
            self._write(Broke(now(), name, repr(error)))
        else:
            held = 0 if rate is None else rate._bucket.held
            unsettled = tuple(filter(None, self._last_words.get(name, "").split(", ")))
            self._write(Stopped(now(), name, slots.borrowed_tokens, held, unsettled))
        finally:
            life.process.gone.set()


class _LastWords(logging.Handler):
    """Keeps, by process, the jobs that a worker says it leaves behind; all else that is logged goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        process = current_process()
        if process is not None and "the store did not take these outcomes" in record.msg:
            self.said[process.name] = record.getMessage().rpartition(": ")[2]


@contextmanager
def last_words() -> Iterator[Mapping[str, str]]:
    """Around a world: what its workers log as left behind, by process.  Its many log records reach no other handler."""
    logger, handler = logging.getLogger("trioq"), _LastWords()
    before = logger.propagate, logger.level
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    logger.addHandler(handler)
    try:
        yield handler.said
    finally:
        logger.removeHandler(handler)
        logger.propagate = before[0]
        logger.setLevel(before[1])
