"""The event bus: fan-out within this process, off the hot path.  What the events are, ``_core.events`` says.

Whoever changes a job emits, after the change is stored.  Delivery never waits and never raises: each subscriber has
a mailbox of its own, which loses its oldest events when it is full, and counts them.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from itertools import count
from time import perf_counter
from typing import Any, Final

import trio

from ._core.events import EVENT_NAMES, Event, JobEvent, JobProgress
from ._core.job import Job

logger: Final = logging.getLogger("trioq.events")

#: Seconds that callbacks get for what is in their mailboxes when the last user leaves.
DRAIN: Final = 1.0

#: Seconds for which a subscriber may read before others have their turn: what it does with each event counts.
TURN: Final = 0.01

#: It takes the event class that its pattern lets through, which no type can say.
Callback = Callable[[Any], Awaitable[object] | object]


class Subscription(trio.abc.ReceiveChannel[Event]):
    """The events of one subscriber, oldest first: ``async for event in events``."""

    def __init__(self, pattern: str, buffer: int) -> None:
        self.names = _matching(pattern, buffer)  #: of the events that its pattern lets through
        self.pattern = pattern
        self.dropped = 0  #: how many events were lost because the subscriber was too slow
        self._buffer = buffer
        self._waiting: OrderedDict[object, Event] = OrderedDict()
        self._number = count()
        self._in_turn = 0  #: how many of those that wait may be read before others have their turn
        self._turn_ends = 0.0
        self._wake = trio.Event()
        self._closed = False

    def put(self, event: Event) -> None:
        """Keep *event* for the subscriber.  Progress replaces the job's progress that it has not read yet."""
        if self._closed:
            return
        key = (event.queue, event.job.id) if isinstance(event, JobProgress) else next(self._number)
        self._waiting.pop(key, None)  # it comes where it belongs in time, not where the older progress was
        if len(self._waiting) >= self._buffer:
            self._waiting.popitem(last=False)
            self.dropped += 1
        self._waiting[key] = event
        self._wake.set()

    async def receive(self) -> Event:
        """The next event.  What lies ready when its turn comes is read in that turn, lest it fall behind.

        A reader that takes its time over each lets others have their turn after ten milliseconds all the same.
        """
        if self._in_turn and self._waiting and perf_counter() < self._turn_ends:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await self._wait()
            self._in_turn = len(self._waiting)
            self._turn_ends = perf_counter() + TURN
        self._in_turn -= 1
        return self._waiting.popitem(last=False)[1]

    async def _wait(self) -> None:
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if self._closed:
                raise trio.EndOfChannel
            if self._wake.is_set():
                self._wake = trio.Event()
            await self._wake.wait()

    def close(self) -> None:
        """No more events come; those that wait can still be received."""
        self._closed = True
        self._wake.set()

    async def aclose(self) -> None:
        """Like `close`, and a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()


class _Pump:
    """Runs the callbacks of one ``trio.run``, while a queue is open in it: one task and mailbox for each callback."""

    def __init__(self) -> None:
        self.users = 0
        self._mailboxes: dict[_Handler, Subscription] = {}
        self._nursery: trio.Nursery | None = None
        self._ended = trio.Event()
        self._leave = trio.Event()

    async def run(self) -> None:
        """Be the system task that the callbacks live under; nothing but a cancellation leaves it."""
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for handler, mailbox in self._mailboxes.items():
                    nursery.start_soon(handler.serve, mailbox)
                await self._leave.wait()
                for mailbox in self._mailboxes.values():
                    mailbox.close()
                scope.deadline = trio.current_time() + DRAIN
        self._ended.set()

    def put(self, handler: _Handler, event: Event) -> None:
        mailbox = self._mailboxes.get(handler)
        if mailbox is None:
            mailbox = self._mailboxes[handler] = Subscription(handler.pattern, handler.buffer)
            if self._nursery is not None:
                self._nursery.start_soon(handler.serve, mailbox)
        dropped = mailbox.dropped
        mailbox.put(event)
        if mailbox.dropped and not dropped:
            logger.warning("%r is too slow: it loses events beyond the last %d", handler.callback, handler.buffer)

    def drop(self, handler: _Handler) -> None:
        mailbox = self._mailboxes.pop(handler, None)
        if mailbox is not None:
            mailbox.close()

    async def leave(self) -> None:
        self._leave.set()
        with trio.move_on_after(2 * DRAIN, shield=True):
            await self._ended.wait()
        if not self._ended.is_set():
            logger.error("callbacks of events shield themselves, and are not waited for any longer")


class _Handler:
    """One ``on()``."""

    def __init__(self, pattern: str, callback: Callback, buffer: int) -> None:
        # Here, where they were given: its mailbox is made later, when something happens.
        self.names = _matching(pattern, buffer)
        if not callable(callback):
            raise TypeError(f"on() takes a pattern and a function, not {callback!r}: on({pattern!r}, tell_somebody)")
        self.pattern, self.callback, self.buffer = pattern, callback, buffer

    async def serve(self, mailbox: Subscription) -> None:
        try:
            async for event in mailbox:
                await self._call(event)
        finally:
            if mailbox.dropped:
                logger.warning("%r was too slow for %d events, and never saw them", self.callback, mailbox.dropped)

    async def _call(self, event: Event) -> None:
        try:
            result = self.callback(event)
            if isinstance(result, Awaitable):
                await result
        except trio.Cancelled:
            raise
        except BaseException:  # even a SystemExit: it must not end the application's run
            logger.exception("a subscriber of %s raised", event.name)


#: Who listens to events of one name: mailboxes with the run that each is read in, and callbacks.
_Audience = tuple[Sequence[tuple[Subscription, trio.lowlevel.TrioToken]], Sequence[_Handler]]

_pump: Final[trio.lowlevel.RunVar[_Pump | None]] = trio.lowlevel.RunVar("trioq event pump", None)


class EventEmitter:
    """Tells subscribers in this process what became of jobs, queues and workers."""

    def __init__(self) -> None:
        self._handlers: list[_Handler] = []
        self._subscriptions: dict[Subscription, trio.lowlevel.TrioToken] = {}
        #: event name -> who listens: asked for each step of each job, so it is remembered.  Replaced when somebody
        #: comes or goes: another thread may be looking for who listens, and what it finds is then forgotten.
        self._audiences: dict[str, _Audience] = {}

    def on(self, pattern: str, callback: Callback, *, buffer: int = 1000) -> Callable[[], None]:
        """Call *callback* with each event whose name matches (``"job:failed"``, ``"job:*"``); answers how to stop it.

        It may be async.  It runs in a task that lives while a queue is open, and gets one second to finish when the
        last one is left.  What it raises is logged, and hurts no job.
        """
        handler = _Handler(pattern, callback, buffer)
        self._handlers.append(handler)
        self._audiences = {}

        def unsubscribe() -> None:
            if handler in self._handlers:
                self._handlers.remove(handler)
                self._audiences = {}
                pump = _pump.get() if _in_trio() else None
                if pump is not None:
                    pump.drop(handler)

        return unsubscribe

    @asynccontextmanager
    async def subscribe(self, pattern: str = "*", *, buffer: int = 1000) -> AsyncIterator[Subscription]:
        """A channel of the events whose names match: ``async with emitter.subscribe("job:*") as events``.

        A slow subscriber loses the oldest beyond *buffer*; ``events.dropped`` counts them.
        """
        async with self.listening(Subscription(pattern, buffer)) as subscription:
            yield subscription

    @asynccontextmanager
    async def listening(self, subscription: Subscription) -> AsyncIterator[Subscription]:
        """Put into *subscription* what its pattern lets through, for as long as the block runs."""
        self._subscriptions[subscription] = trio.lowlevel.current_trio_token()
        self._audiences = {}
        try:
            await trio.lowlevel.checkpoint()
            yield subscription
        finally:
            del self._subscriptions[subscription]
            self._audiences = {}
            subscription.close()

    def wants(self, name: str) -> bool:
        """Whether anybody listens to events of this name: where nobody does, none is built."""
        if not self._handlers and not self._subscriptions:
            return False
        return any(self._audience(name))

    def _audience(self, name: str) -> _Audience:
        audiences = self._audiences
        audience = audiences.get(name)
        if audience is None:
            subscriptions = list(self._subscriptions.items())
            audience = audiences[name] = (
                [(subscription, token) for subscription, token in subscriptions if name in subscription.names],
                [handler for handler in self._handlers if name in handler.names],
            )
        return audience

    def emit(self, event: Event) -> None:
        """Hand *event* to every mailbox that wants it.  Never waits, never raises."""
        subscriptions, handlers = self._audience(event.name)
        here = trio.lowlevel.current_trio_token()
        for subscription, token in subscriptions:
            _put(subscription, event, None if token is here else token)
        pump = _pump.get() if handlers else None
        if pump is not None:
            for handler in handlers:
                pump.put(handler, event)

    def tell(self, kind: type[JobEvent], job: Job, at: float) -> None:
        """Emit the event of this kind about *job*, if anybody listens."""
        if self.wants(kind.name):
            self.emit(kind.of(job, at))

    def attach(self) -> None:
        """Serve the callbacks of this ``trio.run``: a queue was opened in it."""
        pump = _pump.get()
        if pump is None:
            pump = _Pump()
            _pump.set(pump)
            trio.lowlevel.spawn_system_task(pump.run, name="trioq event callbacks")
        pump.users += 1

    async def detach(self) -> None:
        """Undo one `attach`; the last one waits for the callbacks to finish, `DRAIN` seconds at most."""
        pump = _pump.get()
        assert pump is not None
        pump.users -= 1
        if pump.users == 0:
            _pump.set(None)
            await pump.leave()


def _matching(pattern: str, buffer: int) -> frozenset[str]:
    names = frozenset(name for name in EVENT_NAMES if fnmatchcase(name, pattern))
    if not names:
        raise ValueError(f"no event's name matches {pattern!r}; there are: {', '.join(sorted(EVENT_NAMES))}")
    if buffer < 1:
        raise ValueError(f"buffer is the number of events kept for a slow subscriber, 1 or more, not {buffer}")
    return names


def _put(subscription: Subscription, event: Event, token: trio.lowlevel.TrioToken | None) -> None:
    if token is None:
        subscription.put(event)
        return
    try:
        token.run_sync_soon(subscription.put, event)
    except trio.RunFinishedError:
        pass


def _in_trio() -> bool:
    try:
        trio.lowlevel.current_trio_token()
    except RuntimeError:
        return False
    return True


#: The emitter of this process.
event_emitter: Final = EventEmitter()
