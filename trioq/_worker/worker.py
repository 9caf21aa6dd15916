"""The public `Worker`: how it is configured, started and stopped."""

from __future__ import annotations

import logging
import signal
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    nullcontext,
)
from functools import partial
from math import inf
from typing import Any, Final

import attrs
import trio

from .._core.errors import WorkerRunning
from .._core.events import JobReleased, WorkerStarted, WorkerStopped
from .._core.identifiers import check_name
from .._core.settings import Settings
from .._queue import Queue
from .._rate_limiter import RateLimiter
from .._settings import settings as process_settings
from .dequeue import Dequeue
from .pipeline import run_pipeline, shielded
from .run import Limits, WorkerRun, default_name, new_identity

logger: Final = logging.getLogger("trioq.worker")

Lifespan = Callable[["Worker"], AbstractAsyncContextManager[Any]]


@attrs.frozen(kw_only=True)
class WorkerStatistics:
    """A snapshot of a worker."""

    running: int  #: handlers under way
    unsettled: int  #: runs that ended and are not stored yet
    claimed: int  #: since the start, like the rest
    completed: int
    retried: int
    failed: int
    lost: int
    draining: bool


class Worker:
    """Runs the jobs of one or more queues of one store.

    ::

        worker = trioq.Worker(queue, concurrency=50, rate_limit=100)
        trio.run(worker.start)

    *concurrency* is a number, or a ``trio.CapacityLimiter`` to share with others.  *rate_limit* is how many jobs may
    start in any *rate_interval* seconds, or a `RateLimiter` to share.  *lifespan* takes the worker and returns an
    async context manager around all its work, whose value handlers find in ``current_job().resources``.  What is not
    given is read from the settings when the worker starts.  Durations are seconds.
    """

    def __init__(
        self,
        *queues: Queue,
        concurrency: int | trio.CapacityLimiter | None = None,
        rate_limit: int | RateLimiter | None = None,
        rate_interval: float | None = None,
        lease: float | None = None,
        grace: float | None = None,
        name: str | None = None,
        handle_signals: bool | None = None,
        lifespan: Lifespan | None = None,
        settings: Settings | None = None,
    ) -> None:
        if not queues:
            raise TypeError("a Worker needs a Queue: Worker(queue)")
        for queue in queues:
            if not isinstance(queue, Queue):
                raise TypeError(f"a Worker takes Queue objects, not {queue!r:.200}: Worker(queue, concurrency=10)")
        if any(queue.backend is not queues[0].backend for queue in queues):
            raise ValueError(
                "the queues of one worker share one backend object: make it once, and pass it to each "
                "Queue(name, backend=...)"
            )
        self.queues = {queue.name: queue for queue in queues}
        if len(self.queues) < len(queues):
            raise ValueError("two of the worker's queues have the same name: declare the tasks on one Queue object")
        self.settings = process_settings if settings is None else settings
        self.name = check_name("a worker name", default_name() if name is None else name)
        self.cancel_scope = trio.CancelScope()  #: around all that `start` does: cancelling it is ``stop(grace=0)``
        self._concurrency = _slots(concurrency) if concurrency is not None else None
        self._rate_limit = rate_limit
        self._rate_interval = rate_interval
        self._limiter: RateLimiter | None = None
        self._limited: tuple[int, float] | None = None  #: the limit and interval of `_limiter`
        self._rate()  # refuses bad values here, and not only at the start
        self._lease = None if lease is None else _seconds("lease", lease)
        self._grace = None if grace is None else _seconds("grace", grace)
        self._handle_signals = handle_signals
        self._lifespan = lifespan
        self._worker_run: WorkerRun | None = None
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._starting = False
        self._stop_asked: float | None = None  #: the grace of a `stop` that came before there was a run to stop

    def __repr__(self) -> str:
        return f"<Worker {self.name!r} of {', '.join(self.queues)}>"

    # --- running ---

    async def start(  # noqa: ASYNC128  the pipeline calls started()
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run jobs until `stop`, a signal or cancellation: ``trio.run(worker.start)``, ``nursery.start(worker.start)``.

        Raises what opening the store or entering the lifespan raised; after that an outage is waited out.  Returns
        when everything claimed has been settled or released; cancelled, it does the same with no grace, and raises.
        As the main task of ``trio.run`` in the main thread it handles SIGINT and SIGTERM: the first drains, the
        second cancels.  May be called again once it has ended.
        """
        await self._run(Dequeue, task_status)

    async def run_until_idle(self, delayed: bool = False) -> None:
        """Run jobs until nothing is ready in an unpaused queue, and nothing runs here.

        With *delayed*, jobs that come due later are waited for as well.  For tests: under `trio.testing.MockClock`
        a day of retries takes about a second.
        """
        await self._run(partial(Dequeue, until_idle=True, delayed=delayed), trio.TASK_STATUS_IGNORED)

    def stop(self, grace: float | None = None) -> None:
        """Claim no more, release what has not begun, and give running handlers *grace* seconds; then cancel them.

        Returns at once; `start` returns when it is done.  Jobs that were cut short are released: no attempt is
        spent.  A second call can only make the grace shorter.
        """
        grace = _seconds("grace", self.grace if grace is None else grace)
        if self._worker_run is not None:
            self._worker_run.stop(grace)
        elif self._starting:
            self._stop_asked = grace

    async def _run(  # noqa: ASYNC128  likewise
        self, make_dequeue: Callable[[WorkerRun], Dequeue], task_status: trio.TaskStatus[None]
    ) -> None:
        if self._starting:
            raise WorkerRunning(self.name)
        self._starting = True
        run: WorkerRun | None = None
        try:
            with self.cancel_scope, ExitStack() as until_closed:
                async with self._opened() as run:
                    # Only now: before the first claim, a signal may end this program like any other.
                    signals = until_closed.enter_context(self._signals())
                    self._worker_run, self._counts = run, run.counts
                    run.emit(WorkerStarted)  # before `stop` can emit WorkerDraining
                    if self._stop_asked is not None:
                        run.stop(self._stop_asked)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_obey, signals, run)
                        pipeline = partial(self._pipeline, run, make_dequeue(run), task_status)
                        await shielded(run, pipeline)
                        nursery.cancel_scope.cancel()
        finally:
            self._worker_run = self._stop_asked = None
            self._starting = False
            self.cancel_scope = trio.CancelScope()  # a scope can be entered once
        if run is not None and run.interrupt is not None:
            raise run.interrupt

    async def _pipeline(self, run: WorkerRun, dequeue: Dequeue, task_status: trio.TaskStatus[None]) -> None:
        def started() -> None:
            logger.info(
                "worker %s starts on %s: queues %s, %s slots",
                self.name,
                run.store.backend,
                ", ".join(self.queues),
                run.slots.total_tokens,
            )
            task_status.started()

        await run_pipeline(run, dequeue, started)
        released = run.counts[JobReleased.name]
        logger.info("worker %s has stopped%s", self.name, f"; {released} jobs went back" if released else "")
        run.emit(WorkerStopped)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[WorkerRun]:
        """Enter everything that must be open from before the first claim until after the last settle."""
        settings = attrs.evolve(self.settings)
        async with AsyncExitStack() as stack:
            for queue in self.queues.values():
                await stack.enter_async_context(queue)
            run = WorkerRun(
                queues=self.queues,
                backend=queue.backend,
                slots=self._concurrency or _slots(settings.worker_concurrency),
                rate=self._rate(),
                limits=Limits(
                    lease=settings.lease if self._lease is None else self._lease,
                    grace=self.grace,
                    settings=settings,
                ),
                identity=new_identity(self.name),
                name=self.name,
            )
            await stack.enter_async_context(run.sandbox)
            if self._lifespan is not None:
                run.resources = await stack.enter_async_context(_context(self._lifespan(self)))
            yield run

    def _rate(self) -> RateLimiter | None:
        """The limiter, one for all starts: a restart must not double the rate."""
        limit = self.settings.rate_limit if self._rate_limit is None else self._rate_limit
        if isinstance(limit, RateLimiter) or limit is None:
            return limit
        interval = self.settings.rate_interval if self._rate_interval is None else self._rate_interval
        if self._limiter is None or self._limited != (limit, interval):
            self._limiter, self._limited = RateLimiter(limit, interval), (limit, interval)
        return self._limiter

    # --- statistics, and what can be set ---

    @property
    def concurrency(self) -> int | float:
        """How many handlers run at once, at most.  Can be set while the worker runs.  A shared limiter may say inf."""
        slots = self._worker_run.slots if self._worker_run is not None else self._concurrency
        return self.settings.worker_concurrency if slots is None else slots.total_tokens

    @concurrency.setter
    def concurrency(self, value: int) -> None:
        if self._worker_run is None:
            self._concurrency = _slots(value)
        else:
            self._worker_run.slots.total_tokens = _slots(value).total_tokens
            self._concurrency = self._worker_run.slots

    @property
    def grace(self) -> float:
        """How many seconds running jobs get after a signal or a `stop` that gives none.  Can be set before `start`."""
        return self.settings.grace if self._grace is None else self._grace

    @grace.setter
    def grace(self, value: float) -> None:
        self._grace = _seconds("grace", value)

    def statistics(self) -> WorkerStatistics:
        """What this worker does now, and has done since it started."""
        run = self._worker_run
        counts = self._counts
        return WorkerStatistics(
            running=len(run.held) - run.unsettled if run is not None else 0,
            unsettled=run.unsettled if run is not None else 0,
            claimed=counts["claimed"],
            completed=counts["job:completed"],
            retried=counts["job:retrying"],
            failed=counts["job:failed"],
            lost=counts["job:lost"],
            draining=run is not None and run.draining,
        )

    # --- signals ---

    def _signals(self) -> AbstractContextManager[AsyncIterator[int] | None]:
        wanted = _is_main_task() if self._handle_signals is None else self._handle_signals
        return trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) if wanted else nullcontext()


async def _obey(signals: AsyncIterator[int] | None, run: WorkerRun) -> None:
    """The first signal drains, the second cancels."""
    grace = run.limits.grace
    if signals is not None:
        async for number in signals:
            logger.info("received %s", signal.Signals(number).name)
            run.stop(grace)
            grace = 0


def _is_main_task() -> bool:
    """Whether the calling task is the one that ``trio.run`` was given, in the main thread: then signals are ours."""
    if threading.current_thread() is not threading.main_thread():
        return False
    nursery = trio.lowlevel.current_task().parent_nursery
    return nursery is not None and nursery.parent_task is trio.lowlevel.current_root_task()


def _slots(concurrency: int | trio.CapacityLimiter) -> trio.CapacityLimiter:
    if isinstance(concurrency, trio.CapacityLimiter):
        return concurrency
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ValueError(f"concurrency is a whole number, 1 or more, or a trio.CapacityLimiter, not {concurrency!r}")
    return trio.CapacityLimiter(concurrency)


def _seconds(name: str, value: float) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (0 < value < inf if name == "lease" else value >= 0):
        raise ValueError(f"{name} is a number of seconds, not {value!r}")
    return value


def _context(lifespan: Any) -> AbstractAsyncContextManager[Any]:
    if not isinstance(lifespan, AbstractAsyncContextManager):
        raise TypeError(
            f"lifespan answers an async context manager, not {lifespan!r:.200}. Put @asynccontextmanager above it"
        )
    return lifespan
