"""The wires of a simulated world, on which requests to its store, and the replies, are slow, or get lost.

A request travels in a task of no process: once it has left it takes effect, even if its sender dies.
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
from ...backends._hints import HintChannel
from .._relay import WRITES, Relay
from .history import Hurt, Write
from .plan import TICK, Crash, Fault, HintFault, Partition, SlowCall, SlowVerb, Where
from .processes import Process, now
from .server import Server

#: A call with which nothing is wrong.
_SMOOTH: Final = SlowCall(process="", call=0)


class Wire:
    """The wire between the store and the processes of one name, one after another; and all that is wrong with it."""

    def __init__(self, faults: Sequence[Fault], dice: Random) -> None:
        self.calls = 0
        self.slow_calls = {fault.call: fault for fault in faults if isinstance(fault, SlowCall)}
        self.crashes = {fault.call: fault for fault in faults if isinstance(fault, Crash) and fault.call is not None}
        self.slow_verbs: list[SlowVerb] = []  #: those in force
        self.partitions: list[Partition] = []  #: likewise
        self.hint_faults: list[HintFault] = []  #: likewise
        self.skew = 0.0  #: seconds by which the wall clock at this end is ahead
        self.restart = 1.0  #: seconds until a process that has died is followed by another
        self._dice = dice

    def heal(self) -> None:
        """End all faults, for good."""
        self.slow_calls, self.crashes = {}, {}
        self.slow_verbs, self.partitions, self.hint_faults = [], [], []

    def next_call(self, verb: str) -> tuple[SlowCall | SlowVerb, Crash | None]:
        """The faults of this call, which is the next one."""
        self.calls += 1
        slow_verb = next((slow_verb for slow_verb in self.slow_verbs if slow_verb.verb == verb), _SMOOTH)
        return self.slow_calls.pop(self.calls, slow_verb), self.crashes.pop(self.calls, None)

    def latency(self) -> float:
        """Seconds on the way: none, or a tick or two."""
        return TICK * self._dice.choice([0, 0, 1, 2])


@attrs.define(eq=False)
class _Request:
    """A request, until its sender has an answer."""

    verb: str
    args: tuple[Any, ...]
    slow_call: SlowCall | SlowVerb
    crash: Crash | None
    arrived: trio.Event = attrs.Factory(trio.Event)
    reply: Any = None
    error: Exception | None = None

    def answer(self, reply: Any = None, error: Exception | None = None) -> None:
        if not self.arrived.is_set():
            self.reply, self.error = reply, error
            self.arrived.set()


class _HintWire(HintChannel):
    """The hints at the end of a wire; receiving fails when the wire is cut."""

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
        self._requests: set[_Request] = set()
        self._hint_wires: set[_HintWire] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Connection of {self._process.name}>"

    # --- calls ---

    async def ask(self, verb: str, *args: Any) -> Any:
        """Ask the store; wait for a write that has left, as long as this connection's patience lasts."""
        await trio.lowlevel.checkpoint()
        request = _Request(verb, args, *self._wire.next_call(verb))
        begun = now()
        try:
            with trio.CancelScope(shield=request.verb in WRITES):
                answer = await self._exchange(request)
        except BackendUnavailable as error:
            self._note(request, begun, str(error), unknown=True)
            raise
        if now() - begun > SLOW:
            self._note(request, begun, "was slow", unknown=False)
        if request.crash is not None:
            self._fall(request.crash)  # when this step ends: what the answer sets off at once still happens
        return answer

    async def _exchange(self, request: _Request) -> Any:
        self._requests.add(request)
        try:
            with trio.move_on_after(self.patience):
                if request.crash is not None and request.crash.where is Where.BEFORE:
                    self._fall(request.crash)
                    await request.arrived.wait()
                if self._closed or any(not partition.silent for partition in self._wire.partitions):
                    await trio.sleep(self._wire.latency())
                    raise BackendUnavailable("no way to the store")
                if not self._wire.partitions:
                    self._server.post(partial(self._deliver, request))
                await request.arrived.wait()
        finally:
            self._requests.discard(request)
        if not request.arrived.is_set():
            raise BackendUnavailable(f"no answer within {self.patience:g} s")
        if request.error is not None:
            raise request.error
        return request.reply

    async def _deliver(self, request: _Request) -> None:
        """Carry the request to the store, have it done, and carry the reply back."""
        slow_call, wire = request.slow_call, self._wire
        if slow_call.there == inf:
            return self._lose(request)
        await trio.sleep(wire.latency() + slow_call.there)
        try:
            reply, error = await self._server.do(self._process.name, request.verb, request.args), None
        except Exception as raised:
            reply, error = None, raised
        if request.crash is not None and request.crash.where is Where.UNANSWERED:
            self._fall(request.crash)
        if slow_call.back == inf:
            return self._lose(request)
        await trio.sleep(wire.latency() + slow_call.back)
        if not wire.partitions:
            request.answer(reply, error)
        return None

    def _lose(self, request: _Request) -> None:
        """The request, or the reply, never arrives; its sender may be told so at once."""
        if isinstance(request.slow_call, SlowCall) and request.slow_call.reset:
            request.answer(error=BackendUnavailable("the connection was reset"))

    def _fall(self, crash: Crash) -> None:
        if not self._process.dead:
            self._wire.restart = crash.restart
            self._process.kill()

    def _note(self, request: _Request, begun: float, how: str, *, unknown: bool) -> None:
        self._write(Hurt(now(), self._process.name, request.verb, how, now() - begun, unknown))

    # --- hints ---

    @asynccontextmanager
    async def watch(self, queues: Sequence[str]) -> AsyncIterator[trio.abc.ReceiveChannel[Hint]]:
        """The hints of the store that come through."""
        self.require_open()
        await trio.lowlevel.checkpoint()
        if self._closed or self._wire.partitions:
            raise BackendUnavailable("no way to the store")
        hint_wire = _HintWire(queues)
        opened, scope = trio.Event(), trio.CancelScope()
        self._hint_wires.add(hint_wire)
        self._server.post(partial(self._forward, hint_wire, queues, opened, scope))
        try:
            await opened.wait()
            yield hint_wire
        finally:
            self._hint_wires.discard(hint_wire)
            scope.cancel()
            hint_wire.close()

    async def _forward(
        self, hint_wire: _HintWire, queues: Sequence[str], opened: trio.Event, scope: trio.CancelScope
    ) -> None:
        try:
            with scope:
                async with self._server.backend.watch(queues) as hints:
                    opened.set()
                    async for hint in hints:
                        self._pass_on(hint_wire, hint)
        finally:
            hint_wire.snap()
            opened.set()

    def _pass_on(self, hint_wire: _HintWire, hint: Hint) -> None:
        hint_faults = self._wire.hint_faults
        if self._wire.partitions or HintFault.DROPPED in hint_faults:
            return
        if HintFault.LATE not in hint_faults:
            hint_wire.notify(hint)
        if hint_faults:  # late, or once more
            self._server.post(partial(_notify_later, hint_wire, hint))

    # --- the wire is cut ---

    def snap(self) -> None:
        """Let all that wait at this end know at once that the connection is gone."""
        for request in self._requests:
            request.answer(error=BackendUnavailable("the connection was reset"))
        for hint_wire in self._hint_wires:
            hint_wire.snap()

    def close(self) -> None:
        """Cut this connection to the store for good."""
        self._closed = True
        self.snap()


#: Seconds by which a late hint is late.
LATE: Final = 1.5

#: Seconds after which a call counts as slow: more than the latency of both ways.
SLOW: Final = 0.25


async def _notify_later(hint_wire: _HintWire, hint: Hint) -> None:
    await trio.sleep(LATE)
    hint_wire.notify(hint)


@attrs.frozen(eq=False)
class End:
    """A process at its end of a wire: a client, or one life of a worker."""

    process: Process
    connection: Connection

    def close(self) -> None:
        """End what is left of the process: nothing that it does counts any more."""
        self.connection.close()
        self.process.bury()
