"""What happened in one trial, as each process noted it when it happened: what ``rules`` judge.  Values only.

Times are of the system's monotonic clock, so those of different processes can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import attrs

from trioq.lifecycle import Job


@attrs.frozen
class Entry:
    """Something happened, at a time, to or by a process; ``store`` is the server, or the file."""

    at: float
    who: str


# --- a producer ---------------------------------------------------------------------------------


@attrs.frozen
class Asked(Entry):
    """It begins to enqueue a job, whose id it has chosen itself."""

    job: str


@attrs.frozen
class Acknowledged(Entry):
    """``enqueue`` has returned: from here on the job may not be lost."""

    job: str
    created: bool


@attrs.frozen
class Unanswered(Entry):
    """``enqueue`` raised: the job is there, or not, or comes later."""

    job: str
    error: str


# --- a worker -----------------------------------------------------------------------------------


@attrs.frozen
class Up(Entry):
    """It is about to make its first claim."""

    lease: float
    slots: int
    rate: tuple[int, float] | None = None  #: so many starts in any so many seconds


@attrs.frozen
class Began(Entry):
    """A handler begins."""

    job: str
    run: int


@attrs.frozen
class Ended(Entry):
    """A handler ends: it ``returned``, ``raised``, or was ``cancelled``."""

    job: str
    run: int
    how: str


@attrs.frozen
class Told(Entry):
    """trioq told of a change that is stored: the record is as it is after that."""

    event: str
    job: str
    run: int
    version: int
    state: str
    owner: str  #: the process that holds or held the job; "" for nobody


@attrs.frozen
class OutOfReach(Entry):
    """trioq told that the store can't be reached, or can be again."""

    event: str


@attrs.frozen
class Down(Entry):
    """It has stopped as it should, and has left these behind: threads, tasks, open files, child processes."""

    left: tuple[str, ...] = ()


# --- what was done to them ----------------------------------------------------------------------


@attrs.frozen
class Struck(Entry):
    """A fault begins: the process, or the store, is ``killed``, ``frozen``, ``blocked``, ``cut off``, ..."""

    how: str


@attrs.frozen
class Healed(Entry):
    """The fault is over: it goes on, it is back, it is connected."""

    how: str


@attrs.frozen
class AskedToStop(Entry):
    """It got SIGTERM.  That is no fault: it must cost no job an attempt."""


@attrs.frozen
class Gone(Entry):
    """The process has ended: its exit code, or the negative number of the signal."""

    code: int


# --- on its way to a file, and back -------------------------------------------------------------

_KINDS: Final[dict[str, Callable[..., Entry]]] = {
    kind.__name__: kind
    for kind in (
        *(Asked, Acknowledged, Unanswered),
        *(Up, Began, Ended, Told, OutOfReach, Down),
        *(Struck, Healed, AskedToStop, Gone),
    )
}


def line_of(entry: Entry) -> bytes:
    """The entry as one line."""
    return json.dumps([type(entry).__name__, *attrs.astuple(entry)]).encode() + b"\n"


def entry_of(line: bytes) -> Entry:
    """The entry that a line is."""
    kind, *values = json.loads(line)
    return _KINDS[kind](*(tuple(value) if isinstance(value, list) else value for value in values))


# --- all of it ----------------------------------------------------------------------------------

E = TypeVar("E", bound=Entry)


@attrs.frozen
class History:
    """All that happened, in order, and what was in the store at the end."""

    entries: tuple[Entry, ...]
    records: Mapping[str, Job]  #: by id

    @classmethod
    def of(cls, entries: Iterable[Entry], records: Iterable[Job]) -> History:
        """Put in order what several processes noted."""
        return cls(tuple(sorted(entries, key=lambda entry: entry.at)), {job.id: job for job in records})

    def all(self, kind: type[E]) -> list[E]:
        """The entries of one kind, in order."""
        return [entry for entry in self.entries if isinstance(entry, kind)]

    def by_job(self, kind: type[Any]) -> dict[str, list[Any]]:
        """The entries of one kind, in order, for each job."""
        found: dict[str, list[Any]] = {}
        for entry in self.all(kind):
            found.setdefault(entry.job, []).append(entry)
        return found

    def runs(self) -> Iterator[Run]:
        """Every run of a handler."""
        ends = {(end.job, end.run, end.who): end for end in self.all(Ended)}
        gone = {entry.who: entry.at for entry in reversed(self.all(Gone))}
        for began in self.all(Began):
            end = ends.get((began.job, began.run, began.who))
            until = end.at if end is not None else gone.get(began.who, float("inf"))
            yield Run(began.who, began.job, began.run, began.at, until, end.how if end is not None else None)


@attrs.frozen
class Run:
    """One run of a handler, from its begin to its end, or to that of its process; ``how`` is None for the latter."""

    who: str
    job: str
    run: int
    began: float
    until: float
    how: str | None
