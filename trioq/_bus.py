"""The event bus: delivers events to subscribers in this process, off the hot path.  ``_core.events`` defines them.

The code that changes a job emits its event once the change is stored.  Delivery never waits and never raises.  Each
subscriber has a mailbox of its own: a full one loses its oldest events, and counts them.
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

#: Seconds that callbacks get for the events in their mailboxes when the last queue is left.
DRAIN: Final = 1.0

#: Seconds for which a subscriber may read before other tasks have their turn, its work on each event included.
TURN: Final = 0.01

#: A callback takes the event classes that its pattern matches, which no type can express.
Callback = Callable[[Any], Awaitable[object] | object]


class Subscription(trio.abc.ReceiveChannel[Event]):
    """The events of one subscriber, oldest first: ``async for event in events``."""

    def __init__(self, pattern: str, buffer: int) -> None:
        self.names = _matching(pattern, buffer)  #: of the events that the pattern matches
        self.pattern = pattern
        self.dropped = 0  #: how many events were lost because the subscriber was too slow
        self._buffer = buffer
        self._waiting: OrderedDict[object, Event] = OrderedDict()
        self._number = count()
        self._in_turn = 0  #: how many waiting events may be read before other tasks have their turn
        self._turn_ends = 0.0
        self._wake = trio.Event()
        self._closed = False

    def put(self, event: Event) -> None:
        """Keep *event* for the subscriber.  Progress replaces unread progress of the same job."""
        if self._closed:
            return
        key = (event.queue, event.job.id) if isinstance(event, JobProgress) else next(self._number)
        self._waiting.pop(key, None)  # the new progress goes to the end, not to the place of the older one
        if len(self._waiting) >= self._buffer:
            self._waiting.popitem(last=False)
            self.dropped += 1
        self._waiting[key] = event
        self._wake.set()

    async def receive(self) -> Event:
        """The next event.  All that wait when a reader's turn begins are read in that turn, so that it keeps up.

        A reader that is slow with each event still lets other tasks have their turn after ten milliseconds.
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
        """Run the callbacks, as a system task; it raises nothing but a cancellation."""
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
    """A callback and its pattern, as one ``on()`` has given them."""

    def __init__(self, pattern: str, callback: Callback, buffer: int) -> None:
        # Checked here, where the caller gave them: the mailbox is made later, at the first event.
        self.names = _matching(pattern, buffer)
        if not callable(callback):
            raise TypeError(f"on() takes a pattern and a function, not {callback!r}: on({pattern!r}, log_event)")
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


#: The subscribers to events of one name: mailboxes, each with the ``trio.run`` that reads it, and callbacks.
_Audience = tuple[Sequence[tuple[Subscription, trio.lowlevel.TrioToken]], Sequence[_Handler]]

_pump: Final[trio.lowlevel.RunVar[_Pump | None]] = trio.lowlevel.RunVar("trioq event pump", None)


class EventEmitter:
    """Delivers the events of jobs, queues and workers to subscribers in this process."""

    def __init__(self) -> None:
        self._handlers: list[_Handler] = []
        self._subscriptions: dict[Subscription, trio.lowlevel.TrioToken] = {}
        #: event name -> its subscribers, cached because each step of each job asks for them.  A new dict replaces it
        #: when a subscriber comes or goes: another thread may be filling the old one, which is dropped with its answer.
        self._audiences: dict[str, _Audience] = {}

    def on(self, pattern: str, callback: Callback, *, buffer: int = 1000) -> Callable[[], None]:
        """Call *callback* with each event whose name matches (``"job:failed"``, ``"job:*"``).

        Returns a function that stops it.  The callback may be async.  It runs in a task that lasts while a queue is
        open, and gets one second to finish when the last queue is left.  What it raises is logged, and harms no job.
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

        A slow subscriber loses the oldest events beyond *buffer*; ``events.dropped`` counts them.
        """
        async with self.listening(Subscription(pattern, buffer)) as subscription:
            yield subscription

    @asynccontextmanager
    async def listening(self, subscription: Subscription) -> AsyncIterator[Subscription]:
        """Deliver the events that match its pattern to *subscription*, for as long as the block runs."""
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
        """Whether there is a subscriber to events of this name: without one, the caller builds no event."""
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
        """Emit the event of this kind about *job*, if there is a subscriber."""
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
