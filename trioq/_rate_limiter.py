"""The rate limiter: the bucket of ``_core.rate``, on Trio's clock, for tasks that wait for a token."""

from __future__ import annotations

import attrs
import trio

from ._core.rate import Bucket


@attrs.frozen
class RateLimiterStatistics:
    """A snapshot of a `RateLimiter`."""

    limit: int
    interval: float
    available: int  #: tokens that could be taken now
    waiting: int  #: tasks in `RateLimiter.acquire`


class RateLimiter:
    """At most *limit* starts in any window of *interval* seconds.

    A bucket of *limit* tokens, each coming back *interval* seconds after it was spent.  A burst is allowed; the starts
    that follow it are spaced so that no window ever holds more.  Share one between workers of this process to limit
    them together.
    """

    def __init__(self, limit: int, interval: float = 1.0) -> None:
        self._bucket = Bucket(limit, interval)
        self._changed: trio.Event | None = None  #: set at the next change; made by the task that waits for one
        self._lock = trio.StrictFIFOLock()
        self._run: trio.lowlevel.TrioToken | None = None

    async def acquire(self) -> None:
        """Spend one token, waiting for it in turn.  When cancelled, none is spent."""
        await self.take_in_turn()
        self.spend()

    def acquire_nowait(self) -> None:
        """Spend one token, or raise trio.WouldBlock."""
        now = self._now()
        if self._lock.locked() or not self._bucket.take(1, now):
            raise trio.WouldBlock
        self._bucket.spend(now)

    def refund(self) -> None:
        """Give back a token that was spent in the last interval: its start did not happen."""
        self._now()
        self._bucket.unspend()
        self._notify()

    def statistics(self) -> RateLimiterStatistics:
        """How much of the limit is left, and how many wait."""
        now = self._now()
        bucket = self._bucket
        waiting = self._lock.statistics().tasks_waiting + self._lock.locked()
        return RateLimiterStatistics(bucket.limit, bucket.interval, bucket.available(now), waiting)

    # A worker takes tokens before it claims, dates each when its handler starts, and gives back the rest.

    def take(self, wanted: int) -> int:
        """Take up to *wanted* tokens, undated; returns how many."""
        now = self._now()
        return self._bucket.take(wanted, now)

    async def take_in_turn(self) -> None:
        """Take one token, undated, waiting for it in turn."""
        self._now()
        async with self._lock:
            while not self.take(1):
                await self.wait_available()

    def spend(self) -> None:
        """Date a taken token: its start happens now."""
        now = self._now()
        self._bucket.spend(now)
        self._notify()  # only now is it known when the token comes back

    def give_back(self, count: int = 1) -> None:
        """Give taken tokens back unspent."""
        if count:
            self._bucket.refund(count)
            self._notify()

    async def wait_available(self) -> None:
        """Wait until a token can be taken; it may be gone again when this returns."""
        if self._changed is None:
            self._changed = trio.Event()
        with trio.move_on_at(self._bucket.next_at(trio.current_time())):
            await self._changed.wait()

    def _now(self) -> float:
        """Trio's time.  Each ``trio.run`` counts from its own zero, so a new run begins with a full bucket."""
        run = trio.lowlevel.current_trio_token()
        if run is not self._run:
            self._bucket = Bucket(self._bucket.limit, self._bucket.interval)
            self._lock, self._changed, self._run = trio.StrictFIFOLock(), None, run
        return trio.current_time()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
