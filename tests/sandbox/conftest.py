"""What the tests of the sandbox share: the handlers, and a file that tells when the last process is gone."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

import pytest
import trio


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of handlers, importable here and so in their processes."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("sandboxed")


class Fifo:
    """A pipe with a name.  It ends when every process that has it open for writing is gone."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._file: TextIO | None = None

    async def wait_held(self) -> str:
        """The first line that the process writes which opens it."""
        self._file = await self._in_thread(Path(self.path).open)
        return await self._in_thread(self._file.readline)

    async def wait_free(self) -> str:
        """Wait until no process holds it any more."""
        with self._file:
            return await self._in_thread(self._file.read)

    async def _in_thread(self, fn: Callable[[], TextIO | str]) -> TextIO | str:
        return await trio.to_thread.run_sync(fn, abandon_on_cancel=True)


@pytest.fixture
def fifo(tmp_path: Path) -> Fifo:
    return Fifo(tmp_path / "held")


@pytest.fixture(autouse=True)
def every_process_is_reaped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test may leave a process of a handler behind, neither running nor as a zombie."""
    started: list[int] = []
    open_process = trio.lowlevel.open_process

    async def note(*args: Any, **options: Any) -> trio.Process:
        process = await open_process(*args, **options)
        started.append(process.pid)
        return process

    monkeypatch.setattr(trio.lowlevel, "open_process", note)
    yield
    for pid in started:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
