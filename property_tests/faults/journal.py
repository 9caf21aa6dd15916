"""The file into which all processes of a trial note what happens to them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from trioq.testing.simulation.history import Asked, Entry
from trioq.testing.simulation.plan import Operation, Verb

from .history import entry_of, line_of


class Journal:
    """Writes entries of one process: each is one ``write`` to the end of the file, so kill -9 loses and splits none."""

    def __init__(self, path: Path | str, who: str) -> None:
        self.who = who
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, kind: type[Entry], *values: object) -> None:
        """Note that this happens now, here."""
        self.write(kind(time.monotonic(), self.who, *values))

    def ask(self, id: str) -> Operation:
        """Note that it begins to enqueue a job, whose id it has chosen itself; what it asks for is to be answered."""
        operation = Operation(time.monotonic(), self.who, Verb.ENQUEUE, (id,))
        self.note(Asked, operation)
        return operation

    def write(self, entry: Entry) -> None:
        """Note what happens, maybe to another."""
        os.write(self._file, line_of(entry))

    def close(self) -> None:
        """Note no more."""
        os.close(self._file)


class Reader:
    """Reads what has been noted so far, in the order of writing."""

    def __init__(self, path: Path | str) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115  it lives as long as the trial
        self._rest = b""
        self._entries: list[Entry] = []

    def entries(self) -> list[Entry]:
        """All entries; only what is new is read."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        self._entries += map(entry_of, lines)
        return self._entries

    def close(self) -> None:
        """Read no more."""
        self._file.close()
