"""The backend as the stages see it: its clock, and patience while it is away."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final, Protocol, TypeVar

import trio

from .._core.backoff import Exponential
from .._core.errors import BackendUnavailable
from ..backends import Backend

logger: Final = logging.getLogger("trioq.worker")

#: Between two tries to reach a store that is away: the same for every stage, jittered so that workers spread.
PAUSES: Final = Exponential(base=0.05, factor=2, max_delay=2, jitter=0.5)


class Reply(Protocol):
    """What every verb that a stage calls answers with."""

    @property
    def now(self) -> float: ...


T = TypeVar("T", bound=Reply)


class StoreClient:
    """One backend, its time as last heard, and whether it can be reached."""

    def __init__(
        self,
        backend: Backend,
        lease: float,
        on_lost: Callable[[BackendUnavailable], None],
        on_recovered: Callable[[float], None],
    ) -> None:
        self.backend = backend
        self._lease = lease
        self._on_lost = on_lost
        self._on_recovered = on_recovered
        # Until the first reply the wall clock stands in: it decides nothing, for nothing is claimed; it dates events.
        self._heard, self._heard_at = time.time(), trio.current_time()
        self._heard_surely = -inf  #: the same without that: what it was at least
        self._lost_at: float | None = None
        #: Trio time from which on this worker may take others for dead: an outage, or a late renewal of its own,
        #: may have kept healthy workers from renewing just as well.
        self.trusted_from = -inf

    def now(self) -> float:
        """Store time, reckoned: the last reply's now, plus Trio time since.  The wall clock decides nothing."""
        return self._heard + (trio.current_time() - self._heard_at)

    def surely(self) -> float:
        """The same, and never too late: not even while nobody knows how long the first replies were on their way."""
        return self._heard_surely + (trio.current_time() - self._heard_at)

    def hear(self, now: float, asked_at: float) -> None:
        """Note the store time that a reply carried, to what was asked at that Trio time.

        Where it runs ahead of Trio's, the store's clock was set, or this machine slept: leases that ran out meanwhile
        say nothing of their holders.
        """
        if now - self.now() > self._lease / 4:
            self.distrust()
        # A reply may have been on its way since it was asked for, so by now it may be that much later in the store.
        # Within that time the earlier reckoning stands: a slow reply sets no clock back.
        latest = now + (trio.current_time() - asked_at)
        self._heard_surely = min(max(now, self.surely()), latest)
        self._heard, self._heard_at = min(max(now, self.now()), latest), trio.current_time()

    def distrust(self) -> None:
        """Take nobody for dead for one lease from now."""
        self.trusted_from = trio.current_time() + self._lease

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """The reply to *call*, tried again for as long as the store is away.  Every write can be repeated safely."""
        tries = 0
        while (reply := await self.ask_once(call)) is None:
            tries += 1
            await self.pause(tries)
        return reply

    async def ask_once(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """The reply to *call*, or None while the store is away."""
        asked_at = trio.current_time()
        try:
            reply = await call()
        except BackendUnavailable as error:
            self._note_lost(error)
            return None
        self._note_reply(reply, asked_at)
        return reply

    async def pause(self, tries: int) -> None:
        """Wait before the next try: longer after each, unlike the other workers, and at most a quarter of a lease."""
        await trio.sleep(min(PAUSES.delay(tries, random.random()), self._lease / 4))

    def _note_lost(self, error: BackendUnavailable) -> None:
        self.distrust()
        if self._lost_at is None:
            self._lost_at = trio.current_time()
            logger.warning("the store can't be reached, trying again: %s", error)
            self._on_lost(error)

    def _note_reply(self, reply: Reply, asked_at: float) -> None:
        self.hear(reply.now, asked_at)
        if self._lost_at is not None:
            outage = trio.current_time() - self._lost_at
            self._lost_at = None
            self.distrust()
            logger.warning("the store answers again, after %.1f s", outage)
            self._on_recovered(outage)
