"""The rate limiter: the bucket of ``_core.rate``, on Trio's clock, for tasks that wait for a token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from math import inf
from typing import Final

import attrs
import trio

from ._core.rate import Bucket

#: Seconds added to a wait in a run whose clock was set by another's: its sums are rounded.
_ROUNDING: Final = 1e-6

#: Seconds between two looks at other runs that have all tokens in hand.
_LOOK: Final = 1.0


@attrs.frozen
class RateLimiterStatistics:
    """A snapshot of a `RateLimiter`."""

    limit: int
    interval: float
    available: int  #: tokens that could be taken now
    waiting: int  #: tasks of this ``trio.run`` in `RateLimiter.acquire`


@attrs.define(eq=False)
class _Run:
    """What one ``trio.run`` has of a limiter."""

    token: trio.lowlevel.TrioToken
    offset: float  #: from Trio's clock to the limiter's
    line: trio.StrictFIFOLock = attrs.field(init=False, factory=trio.StrictFIFOLock)
    changed: trio.Event | None = attrs.field(init=False, default=None)  #: set at the next change, while a task waits
    held: int = attrs.field(init=False, default=0)  #: tokens that were taken here, and neither dated nor given back

    def wake(self) -> None:
        """Let the tasks that wait look again.  Only in this run's own thread."""
        if self.changed is not None:
            self.changed.set()
            self.changed = None

    def do_soon(self, call: Callable[[], object]) -> bool:
        """Let this run call that, from any thread; False where the run is over."""
        try:
            self.token.run_sync_soon(call, idempotent=True)
        except trio.RunFinishedError:
            return False
        return True


class RateLimiter:
    """At most *limit* starts in any window of *interval* seconds.

    A bucket of *limit* tokens, each coming back *interval* seconds after it was spent: a burst is allowed, and what
    follows it is spaced so that no window ever holds more.  Share one between workers of this process to limit them
    together: also one after another, each in a ``trio.run`` of its own, or at once, in several threads.  Within a run
    its time is Trio's; between the last use of one run and the next run it is the monotonic clock's.
    """

    def __init__(self, limit: int, interval: float = 1.0) -> None:
        self._bucket = Bucket(limit, interval)
        self._lock = threading.Lock()  # around the bucket and the runs: threads may share them
        self._runs: dict[trio.lowlevel.TrioToken, _Run] = {}
        self._time = 0.0  #: the limiter's, when it was last asked
        self._asked_at = 0.0  #: the same moment on the monotonic clock

    async def acquire(self) -> None:
        """Spend one token, waiting for it in turn.  When cancelled, none is spent."""
        await self.take_in_turn()
        self.spend()

    def acquire_nowait(self) -> None:
        """Spend one token, or raise trio.WouldBlock."""
        if self._run().line.locked() or not self.take(1):
            raise trio.WouldBlock
        self.spend()

    def refund(self) -> None:
        """Give back a token that was spent in the last interval: its start did not happen."""
        self._run()
        with self._lock:
            self._bucket.unspend()
            self._notify()

    def statistics(self) -> RateLimiterStatistics:
        """How much of the limit is left, and how many wait."""
        run, bucket = self._run(), self._bucket
        with self._lock:
            available = bucket.available(self._now(run))
        waiting = run.line.statistics().tasks_waiting + run.line.locked()
        return RateLimiterStatistics(bucket.limit, bucket.interval, available, waiting)

    # A worker takes tokens before it claims, dates each when its handler starts, and gives back the rest.

    def take(self, wanted: int) -> int:
        """Take up to *wanted* tokens, undated; returns how many."""
        run = self._run()
        with self._lock:
            taken = self._bucket.take(wanted, self._now(run))
            run.held += taken
        return taken

    async def take_in_turn(self) -> None:
        """Take one token, undated, waiting for it in turn."""
        async with self._run().line:
            while not self.take(1):
                await self.wait_available()

    def spend(self) -> None:
        """Date a taken token: its start happens now."""
        run = self._run()
        with self._lock:
            self._bucket.spend(self._now(run))
            run.held -= 1
            self._notify()  # only now is it known when the token comes back

    def give_back(self, count: int = 1) -> None:
        """Give taken tokens back unspent."""
        if count:
            run = self._run()
            with self._lock:
                self._bucket.refund(count)
                run.held -= count
                self._notify()

    async def wait_available(self) -> None:
        """Wait until a token can be taken; it may be gone again when this returns."""
        run = self._run()
        with self._lock:
            if run.changed is None:
                run.changed = trio.Event()
            changed = run.changed
            now = self._now(run)
            until = self._bucket.next_at(now) - run.offset
            if until == inf and len(self._runs) > 1:  # another run has all tokens in hand, and may have ended
                self._forget_ended_runs(now)
                until = trio.current_time() + _LOOK
        with trio.move_on_at(until + _ROUNDING if run.offset else until):
            await changed.wait()

    # --- time ---

    def _run(self) -> _Run:
        """This run's part.  A run that comes later goes on where the last one was, and the time since has passed."""
        token = trio.lowlevel.current_trio_token()
        run = self._runs.get(token)
        if run is None:
            with self._lock:
                offset = self._time + time.monotonic() - self._asked_at - trio.current_time() if self._asked_at else 0.0
                run = _Run(token, offset)
                self._forget_ended_runs(self._now(run))
                self._runs[token] = run
        return run

    def _now(self, run: _Run) -> float:
        self._asked_at = time.monotonic()
        self._time = max(self._time, trio.current_time() + run.offset)
        return self._time

    def _forget_ended_runs(self, now: float) -> None:
        """A run that ended with tokens in hand may have used them: they count as spent now."""
        for run in [run for run in self._runs.values() if not run.do_soon(int)]:
            for _ in range(run.held):
                self._bucket.spend(now)
            del self._runs[run.token]

    def _notify(self) -> None:
        here = trio.lowlevel.current_trio_token()
        for run in self._runs.values():
            if run.changed is not None:
                run.wake() if run.token is here else run.do_soon(run.wake)
