"""The channels on which watchers of this process receive hints.  Each backend passes on hints of other processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import trio

from ._base import Hint

ALL_HINTS = Hint.READY | Hint.CANCELLED | Hint.FINISHED | Hint.PAUSED


def hint_from(number: bytes | str) -> Hint:
    """Read a hint that another process sent, without kinds that are unknown here: a newer trioq may send more."""
    try:
        return Hint(int(number) & ALL_HINTS.value) if number.isdigit() else Hint(0)
    except ValueError:  # it has thousands of digits, which Python refuses
        return Hint(0)


class HintChannel(trio.abc.ReceiveChannel[Hint]):
    """A channel that remembers which hints came, not how often."""

    def __init__(self, queues: Iterable[str], hints: Hint = ALL_HINTS) -> None:
        self.queues = frozenset(queues)
        self.hints = hints  #: the kinds that it accepts
        self._hints = Hint(0)
        self._wake = trio.Event()
        self._closed = False

    def notify(self, hint: Hint) -> None:
        """Note the hint and wake the reader, if the channel accepts it."""
        wanted = hint & self.hints
        if wanted:
            self._hints |= wanted
            self._wake.set()

    async def receive(self) -> Hint:
        """Return all hints since the last receive; wait for the first where there is none."""
        if self._hints or self._closed:
            await trio.lowlevel.checkpoint()
        while not self._hints:
            if self._closed:
                raise trio.ClosedResourceError
            if self._wake.is_set():  # else another reader waits for it
                self._wake = trio.Event()
            await self._wake.wait()
        hints, self._hints = self._hints, Hint(0)
        return hints

    def close(self) -> None:
        """Close the channel: its watcher has left."""
        self._closed = True
        self._wake.set()

    async def aclose(self) -> None:
        """Like `close`, and a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()


class HintChannels:
    """All channels of one backend in this process."""

    def __init__(self) -> None:
        self._channels: set[HintChannel] = set()

    def __bool__(self) -> bool:
        return bool(self._channels)

    @asynccontextmanager
    async def watch(self, queues: Sequence[str], hints: Hint = ALL_HINTS) -> AsyncIterator[HintChannel]:
        """Open a channel for these hints about these queues, for as long as the block runs."""
        channel = HintChannel(queues, hints)
        self._channels.add(channel)
        try:
            await trio.lowlevel.checkpoint()
            yield channel
        finally:
            self._channels.discard(channel)
            channel.close()

    def notify(self, hint: Hint, queue: str | None = None) -> None:
        """Send a hint to the watchers of *queue*; to all watchers where the queue isn't known."""
        for channel in self._channels:
            if queue is None or queue in channel.queues:
                channel.notify(hint)
