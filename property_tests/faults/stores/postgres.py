"""PostgreSQL: a server of one's own on loopback; each trial has a schema of its own."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final

import psycopg

from tests.postgres_server import PROGRAMS, PostgresServer
from trioq import PostgresBackend
from trioq.abc import Backend

from .disk import Disk
from .store import RECOVERS_WITHIN, Store

#: As a server comes, and not as our tests like it: what a crash loses is what is asked.  Each of a hundred workers may
#: have five connections.
_SETTINGS: Final = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB", "max_connections": "600"}


class OwnServer(Store):
    """The first server program that is there: the newest that a wheel brings, unless another is named."""

    kind: ClassVar[str] = "postgresql"
    server: PostgresServer

    def __init__(
        self,
        synchronous_commit: str = "on",
        program: str = next(iter(PROGRAMS)),
        disk: Disk | None = None,
        **settings: str,
    ) -> None:
        self.durable = synchronous_commit == "on"
        self.disk = disk
        place = None if disk is None else disk.folder
        settings = {**_SETTINGS, "synchronous_commit": synchronous_commit, **settings}
        self.server = PostgresServer(PROGRAMS[program], place, **settings)
        self.port = self.server.port

    def address(self, folder: Path, *, port: int | None = None) -> list[str]:
        return [self.kind, f"postgresql://postgres@127.0.0.1:{port or self.port}/postgres", folder.name]

    async def prepare(self, backend: Backend) -> None:
        await backend.migrate()

    def empty(self, folder: Path) -> None:
        self.server.sql(f'TRUNCATE "{folder.name}".jobs')

    def set(self, setting: str, value: str) -> None:
        """Change a setting for all connections that there are, and that come."""
        self.server.sql(f"ALTER SYSTEM SET {setting} = '{value}'")
        self.server.reload()

    def crash(self, pid: int) -> None:
        """Kill one of the server's processes.  It ends all others then; wait until it takes connections again."""
        deadline = time.monotonic() + RECOVERS_WITHIN
        with psycopg.connect(self.server.url, autocommit=True) as witness, suppress(psycopg.OperationalError):
            os.kill(pid, signal.SIGKILL)
            while time.monotonic() < deadline:
                witness.execute("SELECT 1")
                time.sleep(0.001)
        if self.revive():
            raise RuntimeError(f"it did not recover by itself: {self.server.log()}")

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            return bool(self.server.sql("SELECT 1"))
        return False

    def close(self) -> None:
        self.server.close()
        if self.disk is not None:
            self.disk.close()


def open_backend(url: str, schema: str) -> PostgresBackend:
    """What a process opens."""
    return PostgresBackend(url, schema=schema)
