"""One trial: a store, processes on it, what they noted, and at the end what the rules say of it."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio

import trioq
from trioq.abc import Filter
from trioq.lifecycle import Job
from trioq.testing.simulation.history import STORE, Began, Entry, Healed, History, Started, Struck

from .application import NAME
from .history import AskedToStop, acknowledged, history_of
from .journal import Journal, Reader
from .processes import ForkServer, Process
from .producer import ProducerConfig
from .stores import open_address
from .stores.store import Store
from .worker import WorkerConfig

E = TypeVar("E", bound=Entry)

#: Seconds within which a process must have come up, on a machine that is busy.
_COMES_UP: float = 60

#: Seconds between two checks whether something has happened.
_LOOK: float = 0.02


class Overdue(Exception):
    """What a trial waited for did not happen in time."""


class Trial:
    """What an experiment breaks, and what it sees of it."""

    def __init__(self, fork_server: ForkServer, store: Store, folder: Path) -> None:
        self.folder = folder
        self.store = store
        self.address = store.address(folder)
        self.backend = open_address(self.address)  #: our own look at the store
        self.processes: list[Process] = []
        self._fork_server = fork_server
        self.journal = Journal(folder / "journal", STORE)  #: what we do ourselves, and what happens to the store
        self._reader = Reader(folder / "journal")
        self._numbers = count(1)

    # --- processes ---

    async def start_worker(self, **config: Any) -> Process:
        """A worker, which is up."""
        process = await self._start("worker", WorkerConfig(store=config.pop("store", self.address), **config))
        await self.until(lambda: process.who in {each.by for each in self.all(Started)} or not process.runs, _COMES_UP)
        return process

    async def start_producer(self, **config: Any) -> Process:
        """A producer, which enqueues from now on."""
        return await self._start("producer", ProducerConfig(store=config.pop("store", self.address), **config))

    async def produce(self, **config: Any) -> Process:
        """A producer, which has enqueued all."""
        producer = await self.start_producer(**config)
        await producer.ended.wait()
        return producer

    @asynccontextmanager
    async def keeping_up(self, workers: int, **config: Any) -> AsyncIterator[None]:
        """So many workers while the block runs: one that dies is followed by another, as with any service manager."""

        async def keep_up(first: Process) -> None:
            worker = first
            while True:
                await worker.ended.wait()
                worker = await self.start_worker(**config)

        firsts = [await self.start_worker(**config) for _ in range(workers)]
        async with trio.open_nursery() as nursery:
            for first in firsts:
                nursery.start_soon(keep_up, first)
            yield
            nursery.cancel_scope.cancel()

    async def _start(self, role: str, config: WorkerConfig | ProducerConfig) -> Process:
        who = f"{role}-{next(self._numbers)}"
        process = await self._fork_server.start(
            role, who, attrs.asdict(config, recurse=False), self.folder, self.journal
        )
        self.processes.append(process)
        return process

    def note_fault(self, how: str) -> None:
        """Something happens to the store, or to the way there."""
        self.journal.note(Struck, how)

    def note_end_of_fault(self, how: str) -> None:
        """It is over."""
        self.journal.note(Healed, how)

    # --- looking ---

    def all(self, kind: type[E]) -> list[E]:
        """The entries of one kind so far, as they were written."""
        return [entry for entry in self._reader.entries() if isinstance(entry, kind)]

    async def until(self, condition: Callable[[], bool], within: float) -> None:
        """Wait until *condition* holds, or raise Overdue."""
        deadline = time.monotonic() + within
        while not condition():
            if time.monotonic() > deadline:
                raise Overdue(f"after {within:g} s: see {self.folder}")
            await trio.sleep(_LOOK)

    async def until_acknowledged(self, jobs: int, within: float) -> None:
        """Wait until the store has taken so many jobs."""
        await self.until(lambda: len(self.acknowledged) >= jobs, within)

    async def until_begun(self, jobs: int, within: float) -> None:
        """Wait until handlers of so many jobs have begun; on a busy machine, one may have begun twice by then."""
        await self.until(lambda: len({job.id for job in self.begun()}) >= jobs, within)

    def begun(self) -> list[Job]:
        """The jobs of the handlers that have begun so far, as their workers had them."""
        return [began.job for began in self.all(Began)]

    async def until_all_ended(self, within: float) -> bool:
        """Wait until producers have ended, and every job; False where that takes too long."""
        with trio.move_on_after(within):
            while True:
                producing = any(process.runs and process.who.startswith("producer") for process in self.processes)
                if not producing and await self._has_ended():
                    return True
                await trio.sleep(0.1)
        return False

    async def _has_ended(self) -> bool:
        try:
            counts = await self.backend.counts(NAME)
        except trioq.BackendUnavailable:
            return False
        return not any(number for state, number in counts.items() if not state.final)

    async def records(self) -> list[Job]:
        """Every job, as the store has it now."""
        jobs: list[Job] = []
        cursor = None
        while True:
            page = await self.backend.find(Filter(queue=NAME), cursor, 1_000)
            jobs += page.jobs
            cursor = page.cursor
            if cursor is None:
                return jobs

    def log(self, lines: int | None = None) -> str:
        """What all processes have logged, or the end of that."""
        log = self.folder / "log"
        text = log.read_text(errors="replace") if log.exists() else ""
        return text if lines is None else "".join(text.splitlines(keepends=True)[-lines:])

    # --- the end ---

    async def history(self, within: float) -> History:
        """Wait for the end of all jobs, then stop the workers, and answer what happened."""
        drained = await self.until_all_ended(within)
        await self.stop_workers()
        if any(process.code == 1 for process in self.processes):
            sys.stderr.write(self.log())  # it ended in an error, which is told there
        return history_of(self._reader.entries(), await self.records(), drained=drained)

    async def stop_workers(self, within: float = 60) -> None:
        """Ask the workers that run to stop, and wait for them.

        Those that were asked before are not asked again: while such a process ends, SIGTERM would kill it.
        """
        workers = [process for process in self.processes if process.runs and process.who.startswith("worker")]
        asked = {each.by for each in self.all(AskedToStop)}
        for worker in workers:
            if worker.who not in asked:
                worker.terminate()
        with trio.move_on_after(within):
            for worker in workers:
                await worker.ended.wait()

    @property
    def acknowledged(self) -> dict[str, float]:
        """The jobs that the store has taken so far, and when."""
        return acknowledged(self._reader.entries())

    def close(self) -> None:
        """Note and read no more."""
        self.journal.close()
        self._reader.close()


@asynccontextmanager
async def open_trial(fork_server: ForkServer, store: Store) -> AsyncIterator[Trial]:
    """A trial in a folder of its own, whose processes end with the block at the latest."""
    folder = Path(tempfile.mkdtemp(prefix="trioq-faults-"))
    trial = Trial(fork_server, store, folder)
    try:
        await store.prepare(trial.backend)
        async with trial.backend:
            try:
                yield trial
            except Exception:
                sys.stderr.write(trial.log(lines=30))
                raise
            finally:
                with trio.CancelScope(shield=True):
                    await discard(trial.processes)
    finally:
        trial.close()
        shutil.rmtree(folder)


async def discard(processes: Iterable[Process]) -> None:
    """End these processes, however they are."""
    for process in processes:
        process.discard()
    for process in processes:
        await process.ended.wait()
