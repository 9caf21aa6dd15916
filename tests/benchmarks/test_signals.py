"""What ``python -m benchmarks`` does when it is told to end, and what that does not cut short."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import programs
from benchmarks.contenders import CONTENDERS
from benchmarks.peers.protocol import Request
from benchmarks.signals import undisturbed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


class Command:
    """One that measures idle workers, with all that it starts: the folder for temporary files tells whose they are."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        words = [sys.executable, "-m", "benchmarks", "trioq on redis", "trioq on postgresql", "do nothing"]
        self.process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "TMPDIR": self._folder})

    def others(self) -> list[psutil.Process]:
        """Those that it has started, and that still run."""
        return [each for each in psutil.process_iter() if each.pid != self.process.pid and self._is_mine(each)]

    def _is_mine(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return bool(process.environ().get("TMPDIR") == self._folder)
        return False

    def until_a_worker_runs(self) -> None:
        """The servers do then, too."""
        deadline = time.monotonic() + 60
        while not any('"work"' in _told(each) for each in self.others()):
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            time.sleep(0.05)


def _told(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


@pytest.fixture
def folder() -> Iterator[Path]:
    """One with a short name, as sockets in it need: those of pytest's are long."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def command(folder: Path) -> Iterator[Command]:
    command = Command(folder)
    yield command
    command.process.kill()
    command.process.wait()
    for process in command.others():
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_its_servers_and_its_programs_and_drops_its_folders(command, folder, number):
    command.until_a_worker_runs()
    command.process.send_signal(number)
    assert command.process.wait(timeout=60) == 128 + number
    _, left = psutil.wait_procs(command.others(), timeout=5)
    assert left == []
    assert list(folder.iterdir()) == []


class ToldToEnd(BaseException):
    pass


@pytest.fixture
def handler():
    def handle(*_):
        raise ToldToEnd

    before = signal.signal(signal.SIGTERM, handle)
    yield handle
    signal.signal(signal.SIGTERM, before)


class Disturbed:
    """A store, or a program, that meets a signal whenever it has something to do."""

    def __init__(self, *_):
        self.did = []
        made.append(self)
        self._do("begin")

    def _do(self, what):
        signal.raise_signal(signal.SIGTERM)
        self.did.append(what)

    def end(self):
        self._do("end")

    close = end


made: list[Disturbed] = []


def test_a_store_is_whole_and_will_be_ended_before_a_signal_is_handled(handler, monkeypatch):
    monkeypatch.setitem(benchmarks.STORES, "memory", Disturbed)
    [contender] = [each for each in CONTENDERS if each.name == "trioq in memory"]
    with pytest.raises(ToldToEnd), ExitStack() as stack:
        benchmarks.open_stores([contender], stack)
    assert made.pop().did == ["begin", "end"]


def test_a_program_is_whole_and_will_be_ended_before_a_signal_is_handled(handler, monkeypatch):
    monkeypatch.setattr(programs, "Program", Disturbed)
    with pytest.raises(ToldToEnd), programs.running([], Request("work", "memory:", 1)):
        pass
    assert made.pop().did == ["begin", "end"]


def test_of_two_blocks_the_outer_one_ends_before_a_signal_is_handled(handler):
    done = []
    with pytest.raises(ToldToEnd), undisturbed():
        with undisturbed():
            signal.raise_signal(signal.SIGTERM)
        done.append("outer")
    assert done == ["outer"]
    assert signal.getsignal(signal.SIGTERM) is handler
