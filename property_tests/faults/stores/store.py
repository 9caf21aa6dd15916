"""What experiments ask of a store: room for trials, and to be killed and started where it is a server."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Final

from tests.postgres_server import PostgresServer
from tests.servers import Server
from trioq.abc import Backend

from .disk import Disk

#: Seconds within which a server must be back.
RECOVERS_WITHIN: Final = 20.0


class Store(ABC):
    """A private store that one experiment has for itself."""

    #: As the page calls it.
    kind: ClassVar[str]

    #: What keeps it, where that is a server: it can be killed.
    server: Server | PostgresServer

    #: Where that is reached, directly or through a proxy.
    port: int | None = None

    #: The disk that it has for itself, where it has one.
    disk: Disk | None = None

    #: Whether what it has answered is there after a crash of its process.
    durable: bool = True

    @abstractmethod
    def address(self, folder: Path, *, port: int | None = None) -> list[str]:
        """What a process is told so that it finds the store of the trial in *folder*: see ``open_address``.

        Trials don't see each other.  *port* is the proxy's, where one stands before the server.
        """

    async def prepare(self, backend: Backend) -> None:
        """Make room for a trial, whose *backend* isn't open yet, where opening it does not."""

    def is_locked(self, folder: Path) -> bool:
        """Whether some process keeps all others from writing to the trial in *folder*, at this moment."""
        return False

    def kill(self) -> None:
        """Kill the server, as a crash would."""
        self.server.kill()

    def start(self) -> None:
        """Start it again, where it was."""
        self.server.start()

    def revive(self) -> int:
        """Wait until it answers again, and start it where it has ended by itself, as a service manager would.

        Answers how often it had.
        """
        starts = 0
        deadline = time.monotonic() + RECOVERS_WITHIN
        while time.monotonic() < deadline:
            if self.answers():
                return starts
            if not self.server.runs:
                starts += 1
                self.server.start()
            time.sleep(0.01)
        raise RuntimeError(f"it does not recover: {self.server.log()}")

    def answers(self) -> bool:
        """Whether the server does, at this moment."""
        raise NotImplementedError

    def empty(self, folder: Path) -> None:
        """Take all jobs away from the trial in *folder*, as an administrator would by mistake."""
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """End it, and forget what it had."""
