"""The backend as the stages use it: with the store's time, and tried again while it can't be reached."""

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

#: Pauses between tries to reach a store: the same for every stage, jittered so that workers spread.
PAUSES: Final = Exponential(base=0.05, factor=2, max_delay=2, jitter=0.5)


class Reply(Protocol):
    """What every verb that a stage calls returns."""

    @property
    def now(self) -> float: ...


T = TypeVar("T", bound=Reply)


class StoreClient:
    """One backend, its time by the last reply, and whether it can be reached."""

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
        # Until the first reply the wall clock dates events.  It decides nothing, because nothing is claimed yet.
        self._time, self._time_at = time.time(), trio.current_time()
        self._least_time = -inf  #: the same without the wall clock: a lower bound
        self._lost_at: float | None = None
        #: Trio time from which on this worker may take other workers for dead.  What made its own renewal fail, or come
        #: late, may have kept healthy workers from renewing, too.  It can't know what was before its first reply.
        self.trusted_from = -inf

    def now(self) -> float:
        """Store time, estimated: the last reply's now, plus Trio time since.  The wall clock decides nothing."""
        return self._time + (trio.current_time() - self._time_at)

    def surely(self) -> float:
        """Store time at least: never ahead of the store, even while it is not known how long the first replies took."""
        return self._least_time + (trio.current_time() - self._time_at)

    def note_time(self, now: float, asked_at: float) -> None:
        """Note the store time *now*, from the reply to a request that was sent at the Trio time *asked_at*.

        Where it runs ahead of Trio's, the store's clock was set, or this machine slept.  Then a lease that ran out
        meanwhile does not show that its worker is dead.
        """
        if self._least_time == -inf or now - self.now() > self._lease / 4:
            self.distrust()
        # The reply may have been on its way ever since the request, so the store's time may be that much later by now.
        # Within that time the earlier estimate stands: a slow reply sets no clock back.
        latest = now + (trio.current_time() - asked_at)
        self._least_time = min(max(now, self.surely()), latest)
        self._time, self._time_at = min(max(now, self.now()), latest), trio.current_time()

    def distrust(self) -> None:
        """Take no worker for dead for one lease from now."""
        self.trusted_from = trio.current_time() + self._lease

    async def ask(self, call: Callable[[], Awaitable[T]], *, renews: bool = False, refusals: bool = False) -> T:
        """The reply to *call*, tried again while the store can't be reached.  Every write can be repeated safely.

        A call that *renews* casts doubt on other workers' renewals for as long as it fails, and for one lease more.
        With *refusals*, BackendUnavailable is raised where the store has answered, and refused.
        """
        tries = 0
        while (reply := await self.ask_once(call, refusals=refusals)) is None:
            tries += 1
            if renews:
                self.distrust()
            await self.pause(tries)
        if renews and tries:
            self.distrust()
        return reply

    async def ask_once(self, call: Callable[[], Awaitable[T]], *, refusals: bool = False) -> T | None:
        """The reply to *call*, or None while the store can't be reached."""
        asked_at = trio.current_time()
        try:
            reply = await call()
        except BackendUnavailable as error:
            if refusals and error.refused:
                raise
            self._note_lost(error)
            return None
        self._note_reply(reply, asked_at)
        return reply

    async def pause(self, tries: int) -> None:
        """Wait before the next try: longer after each, jittered, and at most a quarter of a lease."""
        await trio.sleep(min(PAUSES.delay(tries, random.random()), self._lease / 4))

    def _note_lost(self, error: BackendUnavailable) -> None:
        if self._lost_at is None:
            self._lost_at = trio.current_time()
            logger.warning("the store can't be reached, trying again: %s", error)
            self._on_lost(error)

    def _note_reply(self, reply: Reply, asked_at: float) -> None:
        self.note_time(reply.now, asked_at)
        if self._lost_at is not None:
            outage = trio.current_time() - self._lost_at
            self._lost_at = None
            logger.warning("the store answers again, after %.1f s", outage)
            self._on_recovered(outage)
