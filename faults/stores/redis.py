"""Redis: a server of one's own on loopback; each trial has a prefix of its own."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tests.servers import PROGRAMS, Server
from trioq import RedisBackend

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

    def __init__(self, durability: str = "no appendonly", program: str = next(iter(PROGRAMS))) -> None:
        self.durable = durability != "no appendonly"
        self.server = Server(PROGRAMS[program], *DURABILITIES[durability])
        self.port = self.server.port

    def address(self, folder: Path, *, port: int | None = None) -> list[str]:
        return [self.kind, f"redis://127.0.0.1:{port or self.port}", folder.name]

    def kill(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def empty(self, folder: Path) -> None:
        self.server.command("FLUSHALL")
        self.server.command("SCRIPT", "FLUSH")

    def close(self) -> None:
        self.server.close()


def open_backend(url: str, prefix: str) -> RedisBackend:
    """What a process opens."""
    return RedisBackend(url, prefix=prefix)
