"""The processes of a trial, as the experiment that breaks them sees them."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio

from trioq.testing.simulation.history import Died, Froze, Struck, Thawed

from .history import AskedToStop, Gone
from .journal import Journal

_ROOT: Final = Path(__file__).parents[2]

#: Seconds that a process gets until it stands still.
_STOPS_WITHIN: Final = 1.0


class Process:
    """A worker or a producer.  Whatever is done to it is noted in its trial's journal."""

    def __init__(self, who: str, pid: int, journal: Journal) -> None:
        self.who = who
        self.pid = pid
        self.code: int | None = None
        self.ended = trio.Event()
        self._journal = journal

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self.code is None

    def end(self, code: int) -> None:
        """It has ended."""
        self.code = code
        now = time.monotonic()
        self._journal.write(Died(now, self.who, code) if code else Gone(now, self.who))
        self.ended.set()

    def kill(self) -> None:
        """SIGKILL: it can do nothing more, not even say so."""
        self._journal.write(Struck(time.monotonic(), self.who, "killed"))
        self._send(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: it stands still, and does not notice.  When this returns, not one of its threads moves any more."""
        self._journal.write(Froze(time.monotonic(), self.who))
        self._send(signal.SIGSTOP)
        deadline = time.monotonic() + _STOPS_WITHIN
        while self.runs and not _stands_still(self.pid) and time.monotonic() < deadline:
            time.sleep(0.0005)

    def thaw(self) -> None:
        """SIGCONT: it goes on as if nothing had been."""
        self._journal.write(Thawed(time.monotonic(), self.who))
        self._send(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM: it is asked to stop."""
        self._journal.write(AskedToStop(time.monotonic(), self.who))
        self._send(signal.SIGTERM)

    def discard(self) -> None:
        """Kill it, for the trial is over: that is no fault."""
        self._send(signal.SIGKILL)

    def limit(self, what: int, most: int | None) -> None:
        """Set a soft limit such as ``resource.RLIMIT_FSIZE``; with None it is lifted."""
        _, hard = resource.prlimit(self.pid, what)
        resource.prlimit(self.pid, what, (hard if most is None else most, hard))

    def _send(self, number: int) -> None:
        if self.code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _stands_still(pid: int) -> bool:
    """Whether each thread is stopped; one that is writing to a disk stops only after that."""
    threads = Path(f"/proc/{pid}/task")
    try:
        states = [thread.joinpath("stat").read_text().rpartition(")")[2].split()[0] for thread in threads.iterdir()]
    except FileNotFoundError:  # it has just ended, or this is no Linux
        return True
    return all(state in "TtZX" for state in states)


class ForkServer:
    """Starts processes, by asking the one that `property_tests.faults.fork_server` is."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._turn = trio.Lock()
        self._answers, self._started = trio.open_memory_channel[Process](1)
        self._asked: tuple[str, Journal]
        self._living: dict[int, Process] = {}

    async def start(self, role: str, who: str, config: dict[str, Any], folder: Path, journal: Journal) -> Process:
        """A new process in this role."""
        file = {"journal": str(folder / "journal"), "log": str(folder / "log")}
        request = json.dumps({"role": role, "who": who, "config": config, **file}).encode() + b"\n"
        # Shielded: a process that has been asked for is noted, so that it will be ended.
        with trio.CancelScope(shield=True):
            process = await self._start(who, request, journal)
        return process  # noqa: RET504  after the scope, which could swallow an answer for all that mypy knows

    async def _start(self, who: str, request: bytes, journal: Journal) -> Process:
        async with self._turn:
            assert self._process.stdin is not None
            self._asked = who, journal
            await self._process.stdin.send_all(request)
            return await self._started.receive()

    async def listen(self) -> None:
        """Receive which processes have started, and which have ended."""
        assert self._process.stdout is not None
        buffer = b""
        async for data in self._process.stdout:
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                word, pid, *code = line.decode().split()
                if word == "started":
                    who, journal = self._asked
                    process = self._living[int(pid)] = Process(who, int(pid), journal)
                    await self._answers.send(process)
                else:
                    self._living.pop(int(pid)).end(int(*code))


async def _listen(fork_server: ForkServer, listening: trio.CancelScope) -> None:
    with listening:
        await fork_server.listen()


@asynccontextmanager
async def open_fork_server() -> AsyncIterator[ForkServer]:
    """Room for processes, which end with the block at the latest, also where that is cancelled."""
    command = [sys.executable, "-m", "property_tests.faults.fork_server"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRIOQ_")}
    process = await trio.lowlevel.open_process(
        command, cwd=_ROOT, env=inherited, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        async with trio.open_nursery() as nursery:
            fork_server = ForkServer(process)
            # Shielded: a block that is cancelled still waits for the end of what it has started.
            listening = trio.CancelScope(shield=True)
            nursery.start_soon(_listen, fork_server, listening)
            try:
                yield fork_server
            finally:
                listening.cancel()
    finally:
        with trio.CancelScope(shield=True):
            assert process.stdin is not None
            await process.stdin.aclose()
            await process.wait()
