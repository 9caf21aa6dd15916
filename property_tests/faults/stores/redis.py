"""Redis: a server of one's own on loopback; each trial has a prefix of its own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from tests.servers import PROGRAMS, Server
from trioq import RedisBackend

from .disk import Disk
from .store import Store

#: How the server keeps what it was told, by the name of the setting that says it.
DURABILITIES = {
    "no appendonly": (),
    "everysec": ("--appendonly", "yes", "--appendfsync", "everysec"),
    "always": ("--appendonly", "yes", "--appendfsync", "always"),
}


class OwnServer(Store):
    """The first server program that is there: Valkey, unless another is named."""

    kind: ClassVar[str] = "redis"
    server: Server

    def __init__(
        self, durability: str = "no appendonly", program: str = next(iter(PROGRAMS)), disk: Disk | None = None
    ) -> None:
        self.durable = durability != "no appendonly"
        self.disk = disk
        place = None if disk is None else disk.folder
        self.server = Server(PROGRAMS[program], *DURABILITIES[durability], place=place)
        self.port = self.server.port

    def address(self, folder: Path, *, port: int | None = None) -> list[str]:
        return [self.kind, f"redis://127.0.0.1:{port or self.port}", folder.name]

    def answers(self) -> bool:
        with suppress(OSError):
            return self.server.command("PING").startswith(b"+PONG")
        return False

    def empty(self, folder: Path) -> None:
        self.server.command("FLUSHALL")
        self.server.command("SCRIPT", "FLUSH")

    def close(self) -> None:
        self.server.close()
        if self.disk is not None:
            self.disk.close()


def open_backend(url: str, prefix: str) -> RedisBackend:
    """What a process opens."""
    return RedisBackend(url, prefix=prefix)
