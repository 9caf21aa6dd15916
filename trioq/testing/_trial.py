"""One job, run by real workers in a store of its own, whose first worker may be killed at a given point.

What the runs leave behind is compared in ``_idempotent``.
"""

from __future__ import annotations

import inspect
import linecache
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from .._context import running_job
from .._core.errors import JobNotFound
from .._core.job import Job, State
from .._core.lifecycle import Reclaim, step
from .._core.payload import UNTYPED
from .._queue import Queue
from .._worker.worker import Lifespan, Worker
from ..abc import Backend
from ..backends.memory import InMemoryBackend
from ._relay import FaultInjector
from .simulation.processes import Process, disown, process_of

#: A handler that has still not ended after so many runs snoozes for ever.
_MOST_RUNS: Final = 1_000

#: Seconds of Trio's time that a second worker gets.  Long, for under an autojump clock they pass while a thread works.
_PATIENCE: Final = 3_600.0

#: The packages that run a handler, and so hold no line of it.
_OURS: Final = frozenset({"trio", "trioq"})


@attrs.frozen(kw_only=True)
class Scene:
    """The job that is tried, and the functions that the user gave for it."""

    queue: Queue
    job: Job
    observe: Callable[[], Any]
    lifespan: Lifespan

    @property
    def fn(self) -> Callable[..., Any]:
        """The handler."""
        return self.queue.tasks[self.job.task].fn

    @property
    def has_checkpoints(self) -> bool:
        """Whether it runs on the loop: a thread or another process can't be killed between two of its steps."""
        task = self.queue.tasks[self.job.task]
        return task.is_async and not task.sandbox


@attrs.frozen
class Aftermath:
    """How the job ended, and what the user sees then."""

    state: State
    error: str | None
    result: Any
    observed: Any


class Trial(trio.abc.Instrument):
    """Runs the job once: undisturbed, or its first worker is killed at a point, and a second one follows.

    A point comes each time the handler would go on from a checkpoint, and each time the end of a run would be stored.
    Points are counted as they come.
    """

    def __init__(self, scene: Scene, fatal: int | None) -> None:
        self.points = 0
        self.died_at: str | None = None  #: the point at which the first worker was killed, in words
        self._scene = scene
        self._fatal = fatal
        self._ahead = 0.0  #: how far the store's clock is ahead of the wall clock
        self._store = InMemoryBackend(clock=self._now)
        self._queue = scene.queue.copy_on(_Line(self._store, self))
        self._first = Process("the first worker")
        self._over = trio.Event()  #: the first worker is dead, or done
        self._point: Callable[[], str] | None = None
        self._failure: Exception | None = None

    async def run(self) -> Aftermath:
        """Run the job until it has ended, and answer what that left.  Nothing of a killed worker moves until then."""
        aftermath: Aftermath | None = None
        async with self._store, self._queue, trio.open_nursery() as nursery:
            try:
                await self._store.insert([self._scene.job])
                await self._run_first(nursery)
                if self._first.dead:
                    await self._reclaim()
                    await self._run_second()
                aftermath = await self._look()
            except Exception as error:  # raised below, where no nursery wraps it
                self._failure = self._failure or error
            finally:
                self._first.bury()
        if self._failure is not None:
            raise self._failure
        assert aftermath is not None
        return aftermath

    async def _run_first(self, nursery: trio.Nursery) -> None:
        async with self._worker("first") as worker:
            self._first.start_soon(nursery, self._live, worker)
            with self._watched():
                await self._over.wait()
            if self._point is not None:
                self.died_at = self._point()
        if self._failure is not None:
            raise self._failure

    async def _run_second(self) -> None:
        async with self._worker("second") as worker:
            with trio.move_on_after(_PATIENCE) as waiting:
                await self._run_to_the_end(worker)
        if waiting.cancelled_caught:
            raise AssertionError(
                f"{self._scene.job.task} was killed {self.died_at}, and its second run does not end. Does it wait for "
                "a lock or a connection that the first one holds? Make those in lifespan=, anew for each worker"
            )

    async def _live(self, worker: Worker) -> None:
        try:
            await self._run_to_the_end(worker)
        except Exception as error:  # of the user's lifespan or store; those of a dead worker don't count
            if not self._first.dead:
                self._failure = error
        finally:
            self._over.set()

    async def _run_to_the_end(self, worker: Worker) -> None:
        for _ in range(_MOST_RUNS):
            await worker.run_until_idle()
            job = await self._job()
            if job.state.final:
                return
            self._jump_to(job.run_at)  # a retry, or a snooze
        raise AssertionError(f"{self._scene.job.task} has not ended after {_MOST_RUNS:,} runs")

    @asynccontextmanager
    async def _worker(self, name: str) -> AsyncIterator[Worker]:
        """A worker with resources of its own.

        They are entered and left here, outside of the worker: the system closes what a killed process had open.
        """
        settings = attrs.evolve(
            self._queue.settings,
            rate_limit=None,
            keep_completed=1e9,  # the job is looked at when it has ended
            keep_completed_max=1,
            keep_dead=1e9,
            keep_dead_max=1,
        )
        resources: list[Any] = []
        worker = Worker(
            self._queue,
            concurrency=1,
            name=f"{name}-of-trial",
            handle_signals=False,
            lifespan=lambda _: nullcontext(*resources),
            settings=settings,
        )
        async with self._scene.lifespan(worker) as value:
            resources.append(value)
            yield worker

    async def _reclaim(self) -> None:
        """Reclaim the job once its lease has run out, as the sweep of any other worker does."""
        self._jump_to((await self._job()).lease_until or 0.0)
        found = await self._store.overdue(1)
        await self._store.settle([step(job, Reclaim(), found.now) for job in found.jobs])

    async def _job(self) -> Job:
        job = await self._queue.job(self._scene.job.id)
        if job is None:
            raise JobNotFound(self._queue.name, self._scene.job.id)
        return job

    async def _look(self) -> Aftermath:
        job = await self._job()
        return Aftermath(job.state, job.error, UNTYPED.decode_result(job.result), await _observed(self._scene.observe))

    # --- time ---

    def _now(self) -> float:
        return time.time() + self._ahead

    def _jump_to(self, at: float) -> None:
        """Set the store's clock a little past *at*, so that a trial never waits for a lease or a retry."""
        self._ahead += max(0.0, at - self._now()) + 1

    # --- the points ---

    def come_to(self, point: Callable[[], str]) -> None:
        """Count a point where the first worker can be killed, and kill it at the fatal one."""
        if self._over.is_set():
            return  # a dead worker that is being buried, the second worker, or a cancelled caller
        self.points += 1
        if self.points == self._fatal:
            self._point = point  # called later: from within a step of the task, its frames can't be seen
            self._first.kill()
            self._over.set()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        trio.lowlevel.add_instrument(self)
        try:
            yield
        finally:
            self._over.set()
            trio.lowlevel.remove_instrument(self)

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Disown a task that the handler starts in a nursery of others, say a pool's, so that the kill spares it.

        That nursery is closed when the worker has died, and would wait for the task.
        """
        if process_of(task) is not self._first or task.parent_nursery is None:
            return
        if process_of(task.parent_nursery.parent_task) is not self._first:
            disown(task)

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        """Come to a point if this task, which is to take its next step, is one of the handler's."""
        if self._scene.has_checkpoints and running_job in task.context and process_of(task) is self._first:
            self.come_to(lambda: f"when it would have gone on from {_place(task, self._scene.fn)}")


class _Line(FaultInjector):
    """The store as the workers of a trial reach it."""

    def __init__(self, store: Backend, trial: Trial) -> None:
        super().__init__(store)
        self._trial = trial

    async def ask(self, verb: str, *args: Any) -> Any:
        """Ask the store; a worker may die on its way to settle."""
        if verb == "settle":
            self._trial.come_to(lambda: "when it had ended, before that was stored")
            await trio.lowlevel.cancel_shielded_checkpoint()  # a killed worker stays here
        return await super().ask(verb, *args)


async def _observed(observe: Callable[[], Any]) -> Any:
    """Answer a copy of what *observe* answers now, for that value may change later."""
    value = await called(observe)
    try:
        return deepcopy(value)
    except Exception as error:
        raise TypeError(
            f"observe answers what can't be copied, and so not be compared later: {value!r:.200}. "
            "Let it answer plain values: lists, dicts and tuples of numbers and strings"
        ) from error


async def called(fn: Callable[[], Any]) -> Any:
    """Call a function, sync or async."""
    value = fn()
    return await value if inspect.isawaitable(value) else value


def _place(task: trio.lowlevel.Task | None, fn: Callable[..., Any]) -> str:
    """The line of the handler on which a task waits; where it waits in none, the first line that isn't ours.

    A task that has none at all, such as one that just sleeps, waits for the one that started it.
    """
    code = getattr(inspect.unwrap(fn), "__code__", None)
    while task is not None and running_job in task.context:
        frames = list(task.iter_await_frames())
        own = [frame for frame in frames if frame[0].f_code is code]
        foreign = [frame for frame in frames if frame[0].f_globals.get("__name__", "").partition(".")[0] not in _OURS]
        for frame, number in (own or foreign)[:1]:
            file = frame.f_code.co_filename
            source = linecache.getline(file, number, frame.f_globals).strip()
            return f"line {number} of {Path(file).name}, in {frame.f_code.co_name}: {source}"
        task = None if task.parent_nursery is None else task.parent_nursery.parent_task
    return "nowhere in its own code"
