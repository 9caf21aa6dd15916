"""Records the history of a simulated world while it happens: what is written to it, and the events that are told."""

from __future__ import annotations

from ..._bus import Subscription
from ..._core.events import Event
from .history import Entry, Told, Write
from .processes import current_process, now


class Recorder:
    """Notes what happens, until it is closed."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._closed = False

    def write(self, entry: Entry) -> None:
        """Note what happened, unless a dead process says so."""
        process = current_process()
        if not self._closed and (process is None or not process.dead):
            self.entries.append(entry)

    def close(self) -> None:
        """Note nothing more: what happens while a world is taken down is no part of its history."""
        self._closed = True


class EventRecorder(Subscription):
    """Notes each event as it is told, and by which process."""

    def __init__(self, write: Write) -> None:
        super().__init__("*", 1)
        self._note = write

    def put(self, event: Event) -> None:
        process = current_process()
        self._note(Told(now(), "?" if process is None else process.name, event))
