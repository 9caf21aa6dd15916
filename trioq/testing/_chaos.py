"""A backend on which calls go wrong as they do on a bad day, and go wrong again the same way for the same seed.

What a caller meets keeps the contract of `trioq.abc.Backend`.  What a killed process meets is in ``_idempotent``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import partial
from math import inf
from random import Random
from typing import Any, Final

import attrs
import trio

from .._core.backoff import check_seconds
from .._core.errors import BackendUnavailable
from .._core.job import Job
from ..abc import Backend, Hint, Inserted
from ._relay import WRITES, FaultInjector


class _Mishap(StrEnum):
    """What goes wrong, in the words of `ChaosBackend.faults`."""

    REFUSED = "refused"
    UNANSWERED = "unanswered"
    LATE_REQUEST = "late request"
    LATE_REPLY = "late reply"
    OUTAGE = "outage"
    DROPPED_HINT = "dropped hint"
    DOUBLED_HINT = "doubled hint"
    LATE_HINT = "late hint"


_OF_CALLS: Final = (
    _Mishap.REFUSED,
    _Mishap.UNANSWERED,
    _Mishap.LATE_REQUEST,
    _Mishap.LATE_REPLY,
    _Mishap.OUTAGE,
)
_OF_WATCHES: Final = (_Mishap.REFUSED, _Mishap.OUTAGE)
_OF_HINTS: Final = (_Mishap.DROPPED_HINT, _Mishap.DOUBLED_HINT, _Mishap.LATE_HINT)


@attrs.define(eq=False)
class _Errand:
    """A late request on its way there and back.  It goes on when its caller has given it up."""

    request: Callable[[], Awaitable[Any]]
    there: float
    back: float
    scope: trio.CancelScope = attrs.Factory(trio.CancelScope)
    over: trio.Event = attrs.Factory(trio.Event)
    reply: Any = None
    error: Exception | None = None

    async def run(self, errands: set[_Errand]) -> None:
        """Send the request, wait for its reply, and leave *errands*.  Cancelled on its way there, it never arrives."""
        try:
            with self.scope:
                await trio.sleep(self.there)
                self.reply = await self.request()
                await trio.sleep(self.back)
            if self.scope.cancelled_caught:
                self.error = BackendUnavailable("chaos: the store was closed meanwhile")
        except Exception as error:  # it is the reply, for a caller that still waits
            self.error = error
        finally:
            errands.discard(self)
            self.over.set()

    def answer(self) -> Any:
        """The reply that has come."""
        if self.error is not None:
            raise self.error
        return self.reply


class ChaosBackend(FaultInjector):
    """Another backend, *inner*, as a client sees it over a bad network.

    ::

        queue.backend = chaos = ChaosBackend(InMemoryBackend(), seed=7)

    A share *rate* of the calls and of the hints goes wrong.  A call is refused; or it takes effect and is not answered;
    or its request, or its reply, comes up to *delay* seconds late.  Or an outage of up to *outage* seconds begins, and
    refuses all calls; with *outage* 0 there are none.  Hints are dropped, doubled or late.  A write that takes longer
    than the contract allows raises BackendUnavailable, and its effect may still come.

    But for outages, the n-th call of a verb meets the same fate whenever *seed* is the same, whatever calls of other
    verbs there are.  `rate` can be set at any time.  Several of these backends around one *inner* act like several
    processes on one store.
    """

    def __init__(
        self, inner: Backend, seed: int, *, rate: float = 0.1, delay: float = 10.0, outage: float = 2.0
    ) -> None:
        if not isinstance(inner, Backend):
            raise TypeError(f"ChaosBackend goes around a Backend, not {inner!r:.200}")
        super().__init__(inner)
        self.seed = seed
        self.rate = rate
        #: What went wrong, in order: (Trio's time, verb, what).
        self.faults: list[tuple[float, str, str]] = []
        self._delay = check_seconds("delay", delay)
        self._outage = check_seconds("outage", outage)
        self._away_until = -inf
        self._errands: set[_Errand] = set()
        self._dice: dict[str, Random] = {}

    def __repr__(self) -> str:
        return f"<ChaosBackend {self.seed} around {self.inner!r}>"

    @property
    def rate(self) -> float:
        """The share of calls and hints that go wrong, from 0 to 1."""
        return self._rate

    @rate.setter
    def rate(self, share: float) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"rate is a share from 0 to 1, not {share!r}: 0.1 lets every tenth call go wrong")
        self._rate = share

    def calm(self) -> None:
        """Let nothing go wrong from now on: an outage ends, and `rate` is 0.  What is late still comes."""
        self.rate = 0
        self._away_until = -inf

    async def _start(self) -> None:
        await super()._start()
        self._away_until = -inf

    async def _stop(self) -> None:
        """Stop: requests that are still on their way never arrive."""
        errands = list(self._errands)
        for errand in errands:
            errand.scope.cancel()
        for errand in errands:
            await errand.over.wait()
        await super()._stop()

    async def migrate(self) -> None:
        """Migrate the inner backend; here nothing goes wrong."""
        await self.inner.migrate()

    async def insert_within(self, transaction: Any, jobs: Sequence[Job]) -> Inserted:
        """Enqueue in the caller's transaction; here nothing goes wrong, for the call bypasses `ask`."""
        return await self.inner.insert_within(transaction, jobs)

    # --- the fate of a call, or a hint ---

    def _fate(self, verb: str, mishaps: Sequence[_Mishap]) -> tuple[_Mishap | None, float]:
        """What goes wrong, if anything, and a share from 0 to 1 of how badly.

        Each verb has dice of its own, and each call rolls them equally often.  So neither calls of other verbs nor a
        new `rate` change the fate of later calls.
        """
        dice = self._dice.setdefault(verb, Random(f"{self.seed} {verb}"))
        roll, mishap, share = dice.random(), dice.choice(mishaps), dice.random()
        now = trio.current_time()
        if now < self._away_until:
            mishap = _Mishap.OUTAGE
        elif roll >= self._rate:
            return None, share
        elif mishap is _Mishap.OUTAGE:
            if self._outage:
                self._away_until = now + share * self._outage
            else:
                mishap = _Mishap.REFUSED
        self.faults.append((now, verb, str(mishap)))
        return mishap, share

    async def ask(self, verb: str, *args: Any) -> Any:
        """Ask the inner backend, unless this call goes wrong.  The caller waits for a write that has left."""
        await trio.lowlevel.checkpoint()  # until here the request has not left
        mishap, share = self._fate(verb, _OF_CALLS)
        if mishap is None:
            return await super().ask(verb, *args)
        lost = BackendUnavailable(f"chaos: {verb}, {mishap}")
        if mishap in {_Mishap.REFUSED, _Mishap.OUTAGE}:
            raise lost
        late = share * self._delay
        errand = _Errand(
            partial(super().ask, verb, *args),
            there=late if mishap is _Mishap.LATE_REQUEST else 0.0,
            back=late if mishap is _Mishap.LATE_REPLY else 0.0,
        )
        with trio.CancelScope(shield=verb in WRITES), trio.move_on_after(self._patience(verb, args)):
            self._errands.add(errand)
            trio.lowlevel.spawn_system_task(errand.run, self._errands)
            await errand.over.wait()
            if mishap is not _Mishap.UNANSWERED:
                return errand.answer()
        raise lost

    def _patience(self, verb: str, args: tuple[Any, ...]) -> float:
        """Seconds that a caller waits at most: for a claim or a renewal no more than a third of its lease, either."""
        lease: float = {"claim": lambda: args[3], "renew": lambda: args[0].lease}.get(verb, lambda: inf)()
        return min(self.patience, lease / 3)

    @asynccontextmanager
    async def watch(self, queues: Sequence[str]) -> AsyncIterator[trio.abc.ReceiveChannel[Hint]]:
        """The hints of the inner backend, some of which get lost, come twice or come late."""
        self.require_open()
        await trio.lowlevel.checkpoint()
        mishap, _ = self._fate("watch", _OF_WATCHES)
        if mishap is not None:
            raise BackendUnavailable(f"chaos: watch, {mishap}")
        async with self.inner.watch(queues) as hints:
            yield _Hints(hints, partial(self._fate, "hint", _OF_HINTS), self._delay)


class _Hints(trio.abc.ReceiveChannel[Hint]):
    """Hints that get lost, come twice or come late."""

    def __init__(
        self, hints: trio.abc.ReceiveChannel[Hint], fate: Callable[[], tuple[_Mishap | None, float]], delay: float
    ) -> None:
        self._hints = hints
        self._fate = fate
        self._delay = delay
        self._kept: Hint | None = None  #: one that is to come again, or whose receiver was cancelled while it was late

    async def receive(self) -> Hint:
        while True:
            if self._kept is not None:
                await trio.lowlevel.checkpoint()
                hint, self._kept = self._kept, None
                return hint
            hint = await self._hints.receive()
            mishap, share = self._fate()
            match mishap:
                case None:
                    return hint
                case _Mishap.DOUBLED_HINT:
                    self._kept = hint
                    return hint
                case _Mishap.LATE_HINT:
                    self._kept = hint
                    await trio.sleep(share * self._delay)
                case _Mishap.OUTAGE:
                    raise BackendUnavailable("chaos: hint, outage")

    async def aclose(self) -> None:
        await self._hints.aclose()
