"""What the tests with real processes share: workers on one store, and a journal of what their jobs did.

These tests run in real time.  What they wait for is an event of a process (a line, an end), never a while; what they
promise is asserted with a wide margin, for the machine may be busy.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio

import trioq
from tests import postgres_server
from tests.postgres_stores import new_database
from tests.servers import PROGRAMS, Server

HERE = Path(__file__).parent


class Lines:
    """The lines of a pipe, as they come."""

    def __init__(self, stream: trio.lowlevel.FdStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def read(self) -> str:
        """The next line; "" at the end."""
        while b"\n" not in self._buffer:
            more = await self._stream.receive_some(65536)
            if not more:
                return ""
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    async def wait_for(self, words: str) -> str:
        """The next line with these *words*; those before it are skipped."""
        while words not in (line := await self.read()):
            assert line, f"the end came before {words!r}"
        return line

    def check_read(self) -> None:
        """Nothing more was written than what has been read."""
        assert self._buffer == b""
        with pytest.raises(BlockingIOError):
            os.read(self._stream.fileno(), 1)


class WorkerProcess:
    """A ``trioq worker`` in a process of its own."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self.log = Lines(process.stderr)
        self.pid = process.pid

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await self._process.wait()


Start = Callable[..., Awaitable[WorkerProcess]]


@pytest.fixture
def processes() -> Iterator[list[trio.Process]]:
    """A test's processes.  No fixture of Trio's: what is left is killed even where the test's loop was broken off."""
    processes: list[trio.Process] = []
    yield processes
    for process in processes:
        if process.returncode is None:
            process.kill()


_SLOW = pytest.mark.slow


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=_SLOW), pytest.param(next(iter(PROGRAMS)), marks=_SLOW)]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The store: one of each kind that processes can share.  What servers differ in, ``tests/backends`` asks of all."""
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}/jobs.db"
        return
    if request.param == "postgresql":
        yield new_database(postgres_server.shared())
        return
    server = Server(PROGRAMS[request.param])
    yield server.url
    server.close()


@pytest.fixture
async def queue(url: str) -> AsyncIterator[trioq.Queue]:
    """The workers' queue, open in this process, which has none of the application's code."""
    async with trioq.Queue("jobs", backend=url) as queue:
        yield queue


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Lines]:
    """What the jobs write: a named pipe that no process of a worker can close for the others."""
    path = tmp_path / "journal"
    os.mkfifo(path)
    stream = trio.lowlevel.FdStream(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    async with stream:
        yield Lines(stream)


@pytest.fixture
async def start_worker(journal: Lines, processes: list[trio.Process], tmp_path: Path, url: str) -> AsyncIterator[Start]:
    """Starts a worker, and waits until it claims; settings are given as for `trioq.Settings`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRIOQ_")}
    inherited |= {
        "PYTHONPATH": str(Path(trioq.__file__).parents[1]),
        "TRIOQ_BACKEND": url,
        "JOURNAL": f"{tmp_path}/journal",
    }

    async def start(**settings: float) -> WorkerProcess:
        command = [sys.executable, "-m", "trioq", "worker", "application:queue"]
        given = {f"TRIOQ_{name.upper()}": str(value) for name, value in settings.items()}
        process = await trio.lowlevel.open_process(
            command, cwd=HERE, env=inherited | given, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        processes.append(process)
        worker = WorkerProcess(process)
        with trio.fail_after(60):
            await worker.log.wait_for("starts on")
        return worker

    yield start
    for process in processes:
        process.kill()
        await process.wait()
        await process.stderr.aclose()
