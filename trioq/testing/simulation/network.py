"""The store of a simulated world, and the wires to it, on which requests and replies are slow, or get lost.

A request travels in a task of no process: what has left takes effect, whatever becomes of its sender.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from functools import partial
from math import inf
from random import Random
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import attrs
import trio

from ..._core.errors import BackendUnavailable
from ..._core.job import Job
from ..._core.lifecycle import Change
from ...backends._base import (
    Backend,
    Claimed,
    Hint,
    Inserted,
    Lease,
    Presence,
    Renewed,
    Settled,
    Verdict,
)
from ...backends._hints import Doorbell
from .._relay import WRITES, Relay
from . import history
from .plan import TICK, Crash, Cut, Mischief, Slip, Where
from .processes import Process, now

P = ParamSpec("P")
T = TypeVar("T")

Write = Callable[[history.Entry], None]


class Server:
    """The store itself: it does one thing after another, and each thing that it does is written down."""

    def __init__(self, backend: Backend, nursery: trio.Nursery, write: Write) -> None:
        self.backend = backend
        self.records: dict[tuple[str, str], Job] = {}  #: as they should be, by all that was done
        self._nursery = nursery
        self._write = write
        self.turn = trio.Lock()  #: held by whoever does something
        self._nobody = Context()  #: in which no process is the current one

    def post(self, deliver: Callable[[], Awaitable[None]]) -> None:
        """Let something happen on the store's side of the wire."""
        self._nobody.run(self._nursery.start_soon, deliver)

    async def do(self, by: str, verb: str, args: tuple[Any, ...]) -> Any:
        """What the backend answers; the effect is in the history at once."""
        async with self.turn:
            reply = await getattr(self.backend, verb)(*args)
            match reply:
                case Inserted():
                    self._inserted(by, reply)
                case Claimed():
                    self._claimed(by, reply)
                case Settled():
                    self._settled(by, args[0], reply)
                case Renewed():
                    self._renewed(by, args[0], args[1], reply)
            if verb in ("pause", "resume"):
                self._write(history.Paused(reply, by, args[0], verb == "pause"))
            return reply

    def _put(self, job: Job) -> Job | None:
        before = self.records.get((job.queue, job.id))
        self.records[job.queue, job.id] = job
        return before

    def _inserted(self, by: str, reply: Inserted) -> None:
        for job, created in zip(reply.jobs, reply.created, strict=True):
            if created:
                self._put(job)
                self._write(history.Inserted(reply.now, by, job))

    def _claimed(self, by: str, reply: Claimed) -> None:
        for job in reply.jobs:
            before = self._put(job)
            self._write(history.Claimed(reply.now, by, before or job, job))

    def _settled(self, by: str, changes: Sequence[Change], reply: Settled) -> None:
        for change, verdict in zip(changes, reply.verdicts, strict=True):
            before = self.records.get((change.queue, change.id))
            if verdict is not Verdict.STORED:
                self._write(history.Refused(reply.now, by, change, verdict, before))
            elif before is None or not _is_there(change, before):
                # Whether it should have been stored over that, the rules say.
                before = before or Job(id=change.id, queue=change.queue, task="?")
                job = before.after(change)
                self._put(job)
                self._write(history.Stored(reply.now, by, before, change, job))

    def _renewed(self, by: str, worker: Presence, leases: Sequence[Lease], reply: Renewed) -> None:
        for lease in leases:
            job = self.records.get((lease.queue, lease.id))
            if job is not None and lease not in reply.lost:
                news = {"lease_until": reply.now + worker.lease}
                job = job.having(news if lease.progress is None else {**news, "progress": lease.progress})
                self._put(job)
                self._write(history.Renewed(reply.now, by, job))


def _is_there(change: Change, job: Job) -> bool:
    """Whether the record is what the change would make of it, so that storing it again did nothing."""
    same = (job.seq, job.version) == (change.seq, change.version + 1)
    return same and all(getattr(job, name) == value for name, value in change.fields.items())


class Wire:
    """What connects the processes of one name, one after another, with the store; and all that is wrong with it."""

    def __init__(self, slips: Sequence[Slip], crashes: Sequence[Crash], dice: Random) -> None:
        self.calls = 0
        self.slips = {slip.call: slip for slip in slips}
        self.crashes = {crash.call: crash for crash in crashes if crash.call is not None}
        self.cuts: list[Cut] = []  #: those that last
        self.mischief: list[Mischief] = []  #: likewise
        self.restart = 1.0  #: seconds until a process that has died is followed by another
        self._dice = dice

    def heal(self) -> None:
        """Nothing is wrong any more, for good."""
        self.slips, self.crashes = {}, {}
        self.cuts, self.mischief = [], []

    def latency(self) -> float:
        """Seconds on the way: none, or a tick or two."""
        return TICK * self._dice.choice([0, 0, 1, 2])


@attrs.define(eq=False)
class _Letter:
    """A request, until its sender has an answer."""

    verb: str
    args: tuple[Any, ...]
    slip: Slip
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

    async def call(self, verb: Callable[Concatenate[Backend, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the store; a write that has left is waited for, as long as this connection's patience lasts."""
        self.require_open()
        assert not kwargs, "Relay passes all arguments by position"
        await trio.lowlevel.checkpoint()
        wire = self._wire
        wire.calls += 1
        slip = wire.slips.pop(wire.calls, None) or Slip(process="", call=0)
        letter = _Letter(verb.__name__, args, slip, wire.crashes.pop(wire.calls, None))
        begun = now()
        try:
            with trio.CancelScope(shield=letter.verb in WRITES):
                answer: T = await self._exchange(letter)
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
        if letter.slip.reset:
            letter.answer(error=BackendUnavailable("the connection was reset"))

    def _fall(self, crash: Crash) -> None:
        if not self._process.dead:
            self._wire.restart = crash.restart
            self._process.kill()

    def _note(self, letter: _Letter, begun: float, how: str, *, unknown: bool) -> None:
        self._write(history.Hurt(now(), self._process.name, letter.verb, how, now() - begun, unknown))

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
