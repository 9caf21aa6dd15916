"""The stores that contenders meet on: private servers and files, emptied before each trial."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from itertools import count
from pathlib import Path
from typing import Final, Protocol

import psutil

from tests.postgres_server import PROGRAMS as POSTGRES
from tests.postgres_server import PostgresServer
from tests.servers import PROGRAMS as REDIS
from tests.servers import Server

from .cpu import cpu_of_server

#: Those of a server whose data matter.
_SETTINGS: Final = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB", "max_wal_size": "4GB"}


class Store(Protocol):
    """Where jobs are kept."""

    port: int | None  #: None where there is no server

    def empty(self) -> str:
        """Forget all that was; the URL of what is left."""

    def cpu(self) -> float:
        """Seconds of CPU time that its server has used so far."""

    def told(self) -> str:
        """What it is, in a few words."""

    def close(self) -> None:
        """End it."""


class Memory:
    """Within the worker's process."""

    port = None

    def empty(self) -> str:
        return "memory:"

    def cpu(self) -> float:
        return 0.0

    def told(self) -> str:
        return "in the worker's process"

    def close(self) -> None:
        pass


class SQLite:
    """A file on the disk that has the folder for temporary files."""

    port = None

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="trioq-bench-"))
        self._numbers = count()

    def empty(self) -> str:
        for path in self._folder.iterdir():
            path.unlink()
        return f"sqlite:{self._folder}/{next(self._numbers)}.db"

    def cpu(self) -> float:
        return 0.0  # it works in its users' processes

    def told(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}, a file on {_file_system(self._folder)}"

    def close(self) -> None:
        shutil.rmtree(self._folder)


class Redis:
    """A server without persistence."""

    def __init__(self) -> None:
        self._server = Server(next(iter(REDIS.values())))
        self.port = self._server.port

    def empty(self) -> str:
        self._server.command("FLUSHALL")
        return self._server.url

    def cpu(self) -> float:
        return cpu_of_server(self._server.pid)

    def told(self) -> str:
        lines = self._server.command("INFO", "server").decode().splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        if "valkey_version" in facts:
            return f"Valkey {facts['valkey_version']}, without persistence"
        return f"Redis {facts['redis_version']}, without persistence"

    def close(self) -> None:
        self._server.close()


class Postgres:
    """A server that flushes what it commits; each trial has a database."""

    def __init__(self) -> None:
        self._server = PostgresServer(next(iter(POSTGRES.values())), **_SETTINGS)
        assert self._server.port is not None
        self.port = self._server.port
        self._name = "postgres"
        self._numbers = count()

    def empty(self) -> str:
        if self._name != "postgres":
            self._server.sql(f"DROP DATABASE {self._name} WITH (FORCE)")
        self._name = f"bench_{next(self._numbers)}"
        self._server.sql(f"CREATE DATABASE {self._name}")
        self._server.sql("CHECKPOINT")
        return f"{self._server.url.rpartition('/')[0]}/{self._name}"

    def cpu(self) -> float:
        return cpu_of_server(self._server.pid)

    def told(self) -> str:
        [(version,)] = self._server.sql("SHOW server_version")
        settings = ", ".join(f"{name} {value}" for name, value in _SETTINGS.items())
        return f"PostgreSQL {version} on {_file_system(self._server.folder)}; {settings}"

    def close(self) -> None:
        self._server.close()


STORES: Final = {"memory": Memory, "SQLite": SQLite, "Redis": Redis, "PostgreSQL": Postgres}


def _file_system(folder: Path) -> str:
    """What kind of one this folder is in: a flush to a tmpfs is none."""
    mounts = [each for each in psutil.disk_partitions(all=True) if folder.is_relative_to(each.mountpoint)]
    return max(mounts, key=lambda each: len(each.mountpoint)).fstype if mounts else "an unknown file system"
