"""A backend that kills its own process at one of its calls: before it leaves, on its way, or after the answer."""

from __future__ import annotations

import os
import random
import signal
from typing import Any, Final, NoReturn

import trio

from trioq.abc import Backend
from trioq.testing._relay import FaultInjector
from trioq.testing.simulation.history import Struck

from .journal import Journal

#: When a call is fatal.
MOMENTS: Final = ("before", "on the way", "after")

#: Seconds after which a process dies whose request is on its way: the store is just about to act, or has just acted.
_ON_THE_WAY: Final = 0.002


class CrashingBackend(FaultInjector):
    """Another backend, until the *nth* call of a verb."""

    def __init__(self, inner: Backend, journal: Journal, verb: str, nth: int, moment: str) -> None:
        super().__init__(inner)
        self._journal = journal
        self._verb = verb
        self._calls_left = nth
        self._moment = moment

    async def ask(self, verb: str, *args: Any) -> Any:
        self._calls_left -= verb == self._verb
        if verb != self._verb or self._calls_left:
            return await super().ask(verb, *args)
        if self._moment == "on the way":
            trio.lowlevel.spawn_system_task(self._die_soon)
        elif self._moment == "before":
            self._die()
        answer = await super().ask(verb, *args)
        if self._moment == "after":
            self._die()
        return answer

    async def _die_soon(self) -> None:
        await trio.sleep(random.uniform(0, _ON_THE_WAY))
        self._die()

    def _die(self) -> NoReturn:
        self._journal.note(Struck, "killed")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("no process outlives that")
