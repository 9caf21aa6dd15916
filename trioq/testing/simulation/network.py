"""The wires of a simulated world, on which requests to its store, and the replies, are slow, or get lost.

A request travels in a task of no process: what has left takes effect, whatever becomes of its sender.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from random import Random
from typing import Any, Final

import attrs
import trio

from ..._core.errors import BackendUnavailable
from ...backends._base import Hint
from ...backends._hints import Doorbell
from .._relay import WRITES, Relay
from .history import Hurt, Write
from .plan import TICK, Crash, Cut, Drag, Fault, Mischief, Slip, Where
from .processes import Process, now
from .server import Server

#: A call with which nothing is wrong.
_SMOOTH: Final = Slip(process="", call=0)


class Wire:
    """What connects the processes of one name, one after another, with the store; and all that is wrong with it."""

    def __init__(self, faults: Sequence[Fault], dice: Random) -> None:
        self.calls = 0
        self.slips = {fault.call: fault for fault in faults if isinstance(fault, Slip)}
        self.crashes = {fault.call: fault for fault in faults if isinstance(fault, Crash) and fault.call is not None}
        self.drags: list[Drag] = []  #: those that last
        self.cuts: list[Cut] = []  #: likewise
        self.mischief: list[Mischief] = []  #: likewise
        self.skew = 0.0  #: seconds by which the wall clock at this end is ahead
        self.restart = 1.0  #: seconds until a process that has died is followed by another
        self._dice = dice

    def heal(self) -> None:
        """Nothing is wrong any more, for good."""
        self.slips, self.crashes = {}, {}
        self.drags, self.cuts, self.mischief = [], [], []

    def next_call(self, verb: str) -> tuple[Slip | Drag, Crash | None]:
        """What is to be wrong with this call."""
        self.calls += 1
        drag = next((drag for drag in self.drags if drag.verb == verb), _SMOOTH)
        return self.slips.pop(self.calls, drag), self.crashes.pop(self.calls, None)

    def latency(self) -> float:
        """Seconds on the way: none, or a tick or two."""
        return TICK * self._dice.choice([0, 0, 1, 2])


@attrs.define(eq=False)
class _Letter:
    """A request, until its sender has an answer."""

    verb: str
    args: tuple[Any, ...]
    slip: Slip | Drag
    crash: Crash | None
    arrived: trio.Event = attrs.Factory(trio.Event)
    reply: Any = None
    error: Exception | None = None

    def answer(self, reply: Any = None, error: Exception | None = None) -> None:
        if not self.arrived.is_set():
            self.reply, self.error = reply, error
            self.arrived.set()


class _Line(Doorbell):
    """Hints at the end of a wire; it breaks when that is cut."""

    broken = False

    def snap(self) -> None:
        self.broken = True
        self.close()

    async def receive(self) -> Hint:
        try:
            return await super().receive()
        except trio.ClosedResourceError:
            if self.broken:
                raise BackendUnavailable("the line is dead") from None
            raise


class Connection(Relay):
    """The store as one process reaches it."""

    def __init__(self, server: Server, wire: Wire, process: Process, patience: float, write: Write) -> None:
        self.patience = patience
        self._server = server
        self._wire = wire
        self._process = process
        self._write = write
        self._letters: set[_Letter] = set()
        self._lines: set[_Line] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Connection of {self._process.name}>"

    # --- calls ---

    async def ask(self, verb: str, *args: Any) -> Any:
        """Ask the store; a write that has left is waited for, as long as this connection's patience lasts."""
        await trio.lowlevel.checkpoint()
        letter = _Letter(verb, args, *self._wire.next_call(verb))
        begun = now()
        try:
            with trio.CancelScope(shield=letter.verb in WRITES):
                answer = await self._exchange(letter)
        except BackendUnavailable as error:
            self._note(letter, begun, str(error), unknown=True)
            raise
        if now() - begun > SLOW:
            self._note(letter, begun, "was slow", unknown=False)
        if letter.crash is not None:
            self._fall(letter.crash)  # when this step ends: what the answer sets off at once still happens
        return answer

    async def _exchange(self, letter: _Letter) -> Any:
        self._letters.add(letter)
        try:
            with trio.move_on_after(self.patience):
                if letter.crash is not None and letter.crash.where is Where.BEFORE:
                    self._fall(letter.crash)
                    await letter.arrived.wait()
                if self._closed or any(not cut.silent for cut in self._wire.cuts):
                    await trio.sleep(self._wire.latency())
                    raise BackendUnavailable("no way to the store")
                if not self._wire.cuts:
                    self._server.post(partial(self._deliver, letter))
                await letter.arrived.wait()
        finally:
            self._letters.discard(letter)
        if not letter.arrived.is_set():
            raise BackendUnavailable(f"no answer within {self.patience:g} s")
        if letter.error is not None:
            raise letter.error
        return letter.reply

    async def _deliver(self, letter: _Letter) -> None:
        """The way there, the effect, and the way back."""
        slip, wire = letter.slip, self._wire
        if slip.there == inf:
            return self._lose(letter)
        await trio.sleep(wire.latency() + slip.there)
        try:
            reply, error = await self._server.do(self._process.name, letter.verb, letter.args), None
        except Exception as raised:
            reply, error = None, raised
        if letter.crash is not None and letter.crash.where is Where.UNANSWERED:
            self._fall(letter.crash)
        if slip.back == inf:
            return self._lose(letter)
        await trio.sleep(wire.latency() + slip.back)
        if not wire.cuts:
            letter.answer(reply, error)
        return None

    def _lose(self, letter: _Letter) -> None:
        """The request, or the reply, never arrives; its sender may be told so at once."""
        if isinstance(letter.slip, Slip) and letter.slip.reset:
            letter.answer(error=BackendUnavailable("the connection was reset"))

    def _fall(self, crash: Crash) -> None:
        if not self._process.dead:
            self._wire.restart = crash.restart
            self._process.kill()

    def _note(self, letter: _Letter, begun: float, how: str, *, unknown: bool) -> None:
        self._write(Hurt(now(), self._process.name, letter.verb, how, now() - begun, unknown))

    # --- hints ---

    @asynccontextmanager
    async def watch(self, queues: Sequence[str]) -> AsyncIterator[trio.abc.ReceiveChannel[Hint]]:
        """The store's hints, as far as they come through."""
        self.require_open()
        await trio.lowlevel.checkpoint()
        if self._closed or self._wire.cuts:
            raise BackendUnavailable("no way to the store")
        line = _Line(queues)
        opened, scope = trio.Event(), trio.CancelScope()
        self._lines.add(line)
        self._server.post(partial(self._forward, line, queues, opened, scope))
        try:
            await opened.wait()
            yield line
        finally:
            self._lines.discard(line)
            scope.cancel()
            line.close()

    async def _forward(self, line: _Line, queues: Sequence[str], opened: trio.Event, scope: trio.CancelScope) -> None:
        try:
            with scope:
                async with self._server.backend.watch(queues) as hints:
                    opened.set()
                    async for hint in hints:
                        self._pass_on(line, hint)
        finally:
            line.snap()
            opened.set()

    def _pass_on(self, line: _Line, hint: Hint) -> None:
        mischief = self._wire.mischief
        if self._wire.cuts or Mischief.DROPPED in mischief:
            return
        if Mischief.LATE not in mischief:
            line.ring(hint)
        if mischief:  # late, or once more
            self._server.post(partial(_ring_later, line, hint))

    # --- the wire is cut ---

    def snap(self) -> None:
        """Whoever waits at this end learns at once that the connection is gone."""
        for letter in self._letters:
            letter.answer(error=BackendUnavailable("the connection was reset"))
        for line in self._lines:
            line.snap()

    def close(self) -> None:
        """Nothing leads to the store any more."""
        self._closed = True
        self.snap()


#: Seconds by which a late hint is late.
LATE: Final = 1.5

#: Seconds after which a call counts as slow: more than the latency of both ways.
SLOW: Final = 0.25


async def _ring_later(line: _Line, hint: Hint) -> None:
    await trio.sleep(LATE)
    line.ring(hint)


@attrs.frozen(eq=False)
class End:
    """A process at its end of a wire: a client, or one life of a worker."""

    process: Process
    connection: Connection

    def close(self) -> None:
        """Let what is left of it end: nothing that it does counts any more."""
        self.connection.close()
        self.process.bury()
