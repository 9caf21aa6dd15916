"""Processes within one ``trio.run``: groups of tasks that are stopped, continued and killed as a kernel would do it.

Trio has no such thing: a cancelled task still runs its ``finally`` blocks.  Here a task that must not run is kept out
of Trio's run queue.  That queue and the scheduler's dice are private to Trio; no other module touches them, and
tests/simulation/test_processes.py fails loudly where a new Trio has them elsewhere.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, Final, ParamSpec

import trio
from trio._core import _run as scheduler

P = ParamSpec("P")

#: What the wall clock says when a world begins: a whole number, so that ticks added to it stay exact.
EPOCH: Final = 1_700_000_000.0

_process: Final[ContextVar[Process | None]] = ContextVar("process", default=None)


def current_process() -> Process | None:
    """The process that the calling task belongs to, if it belongs to one."""
    return _process.get()


def process_of(task: trio.lowlevel.Task) -> Process | None:
    """The process that a task belongs to, if it belongs to one."""
    return task.context.get(_process)


def disown(task: trio.lowlevel.Task) -> None:
    """Let a task, and what it starts from now on, belong to no process."""
    task.context.run(_process.set, None)


def now() -> float:
    """What a right wall clock says: EPOCH, and the seconds that Trio has counted since."""
    return EPOCH + trio.current_time()


class Process:
    """A group of tasks, and all that they start, which run, stand still and die together.

    Only within `processes`.  Each of its tasks stops between two steps; one that is in the midst of a step, or due in
    the scheduler's present round, ends that step first.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.frozen = False
        self.dead = False
        self.gone = trio.Event()  #: it is dead, or has ended
        self.skew = 0.0  #: seconds by which its wall clock is ahead
        self._buried = False
        self._scopes: list[trio.CancelScope] = []
        self._kept: list[trio.lowlevel.Task] = []  #: would run, if they were allowed to

    def __repr__(self) -> str:
        return f"<Process {self.name}>"

    def start_soon(
        self, nursery: trio.Nursery, body: Callable[P, Awaitable[object]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Start a task of this process in *nursery*, whose end then waits for it."""
        context = copy_context()
        context.run(_process.set, self)
        context.run(nursery.start_soon, self._run, lambda: body(*args, **kwargs))

    async def _run(self, body: Callable[[], Awaitable[object]]) -> None:
        with trio.CancelScope() as scope:
            self._scopes.append(scope)
            if self._buried:
                scope.cancel()
            await body()

    def freeze(self) -> None:
        """Let none of its tasks run, until `thaw`.  Its timers run on, and all that are due by then go off at once."""
        self.frozen = True
        _queue().hold_back(self)

    def thaw(self) -> None:
        """Go on, unless it is dead."""
        if self.frozen and not self.dead:
            self._release()

    def kill(self) -> None:
        """Let none of its tasks run any more: no ``finally``, no ``except``, as with ``kill -9``."""
        if not self.dead:
            self.dead = True
            self.gone.set()
            self.freeze()

    def bury(self) -> None:
        """Cancel what is left of it, so that its nursery can end: when nothing that it does counts any more."""
        self.dead = True
        self.gone.set()
        self._buried = True
        for scope in self._scopes:
            scope.cancel()
        self._release()

    def keep(self, task: trio.lowlevel.Task) -> None:
        """Note a task that will run once the process goes on."""
        self._kept.append(task)

    def _release(self) -> None:
        self.frozen = False
        kept, self._kept = self._kept, []
        _queue().extend(kept)


class _RunQueue(deque[trio.lowlevel.Task]):
    """Trio's run queue, which takes no task of a frozen process."""

    users = 0

    def append(self, task: trio.lowlevel.Task) -> None:
        process = process_of(task)
        if process is not None and process.frozen:
            process.keep(task)
        else:
            super().append(task)

    def hold_back(self, process: Process) -> None:
        """Take out the tasks that have just been frozen."""
        tasks = list(self)
        self.clear()
        for task in tasks:
            self.append(task)


def _queue() -> _RunQueue:
    queue = scheduler.GLOBAL_RUN_CONTEXT.runner.runq
    assert isinstance(queue, _RunQueue), "a Process lives within `with processes():`"
    return queue


@contextmanager
def processes() -> Iterator[None]:
    """Let processes be frozen and killed within the block, in this ``trio.run``.  Bury the dead before it ends."""
    runner = scheduler.GLOBAL_RUN_CONTEXT.runner
    queue = runner.runq if isinstance(runner.runq, _RunQueue) else _RunQueue(runner.runq)
    runner.runq = queue
    queue.users += 1
    try:
        yield
    finally:
        queue.users -= 1
        if not queue.users:
            runner.runq = deque(queue)


def _wall_clock() -> float:
    process = _process.get()
    return now() + (process.skew if process is not None else 0.0)


@contextmanager
def wall_clocks() -> Iterator[None]:
    """Around a ``trio.run`` on MockClock: ``time.time()`` goes with Trio's time, and each process has its own."""
    before = time.time
    time.time = _wall_clock
    try:
        yield
    finally:
        time.time = before


@contextmanager
def repeatable_scheduling(seed: int) -> Iterator[None]:
    """Around a ``trio.run``: the scheduler shuffles what can run, as ever, and the same way for the same seed."""
    before: dict[str, Any] = {"_ALLOW_DETERMINISTIC_SCHEDULING": scheduler._ALLOW_DETERMINISTIC_SCHEDULING}
    dice = scheduler._r.getstate()
    scheduler._r.seed(seed)
    vars(scheduler)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    try:
        yield
    finally:
        scheduler._r.setstate(dice)
        vars(scheduler).update(before)
