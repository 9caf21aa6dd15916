"""A backend that kills its own process at one of its calls: before it leaves, on its way, or after the answer."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Concatenate, Final, NoReturn, ParamSpec, TypeVar

import trio

from trioq.abc import Backend, Hint
from trioq.testing._relay import Relay

from .history import Struck
from .journal import Journal

P = ParamSpec("P")
T = TypeVar("T")

#: When a call is fatal.
MOMENTS: Final = ("before", "on the way", "after")

#: Seconds after which a process dies whose request is on its way: the store is just about to act, or has just acted.
_ON_THE_WAY: Final = 0.002


class Doomed(Relay):
    """Another backend, until the *nth* call of a verb."""

    def __init__(self, inner: Backend, journal: Journal, verb: str, nth: int, moment: str) -> None:
        self.inner = inner
        self.patience = inner.patience
        self._journal = journal
        self._verb = verb
        self._calls_left = nth
        self._moment = moment

    async def _start(self) -> None:
        await self.inner.__aenter__()

    async def _stop(self) -> None:
        await self.inner.__aexit__(None, None, None)

    async def call(self, verb: Callable[Concatenate[Backend, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        request: Callable[..., Awaitable[T]] = getattr(self.inner, verb.__name__)
        if verb.__name__ != self._verb:
            return await request(*args, **kwargs)
        self._calls_left -= 1
        if self._calls_left:
            return await request(*args, **kwargs)
        if self._moment == "on the way":
            trio.lowlevel.spawn_system_task(self._die_soon)
        elif self._moment == "before":
            self._die()
        answer = await request(*args, **kwargs)
        if self._moment == "after":
            self._die()
        return answer

    async def _die_soon(self) -> None:
        await trio.sleep(random.uniform(0, _ON_THE_WAY))
        self._die()

    def _die(self) -> NoReturn:
        self._journal.note(Struck, "killed")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("nobody outlives that")

    @asynccontextmanager
    async def watch(self, queues: Sequence[str]) -> AsyncIterator[trio.abc.ReceiveChannel[Hint]]:
        async with self.inner.watch(queues) as hints:
            yield hints
