"""What only the history of real processes has, and how all of it gets into a file and back.

The other entries, and `History` itself, are those of `trioq.testing.simulation`: the same rules judge both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import attrs
import msgspec

from trioq._core import events, wire
from trioq.lifecycle import Job
from trioq.testing.simulation import history as simulated
from trioq.testing.simulation.history import Answered, Entry, History
from trioq.testing.simulation.plan import Operation, WorkerSpec

#: Seconds by which two notes of different handlers may be nearer to each other than what they tell of.
_SLACK: Final = 0.02


@attrs.frozen
class AskedToStop(Entry):
    """It got SIGTERM.  That is no fault: it must cost no job an attempt."""


@attrs.frozen
class Gone(Entry):
    """The process has ended as it should, with exit code 0; any other end is `Died`."""


def history_of(entries: Iterable[Entry], records: Iterable[Job], *, drained: bool = True) -> History:
    """Put in order what several processes noted."""
    ordered = tuple(sorted(entries, key=lambda entry: entry.at))
    by_id = {job.id: job for job in records}
    return History(began=ordered[0].at, entries=ordered, records=by_id, drained=drained, slack=_SLACK)


def acknowledged(entries: Iterable[Entry]) -> dict[str, float]:
    """When ``enqueue`` returned for each job: from then on it may not be lost."""
    return {id: entry.at for entry in entries if isinstance(entry, Answered) for id, _ in entry.answer}


# --- on its way to a file, and back -------------------------------------------------------------

_KINDS: Final[dict[str, Any]] = {
    kind.__name__: kind
    for module in (simulated, events)
    for kind in vars(module).values()
    if isinstance(kind, type) and attrs.has(kind) and kind is not Job
} | {kind.__name__: kind for kind in (AskedToStop, Gone, Operation, WorkerSpec)}

_FIELDS: Final = {kind: [field.name for field in attrs.fields(kind)] for kind in _KINDS.values()}


def line_of(entry: Entry) -> bytes:
    """The entry as one line of JSON.  Of a job, arguments and result stay out: they may be large, and no rule asks."""
    return msgspec.json.encode(_plain(entry)) + b"\n"


def entry_of(line: bytes) -> Entry:
    """The entry that a line is."""
    entry: Entry = json.loads(line, object_hook=_made)
    return entry


def _plain(value: Any) -> Any:
    if isinstance(value, Job):
        return msgspec.Raw(b'{"is":"Job",' + wire.encode(value.having({"payload": b"", "result": None}))[1:])
    if type(value) in _FIELDS:
        return {"is": type(value).__name__} | {name: _plain(getattr(value, name)) for name in _FIELDS[type(value)]}
    return value


def _made(plain: dict[str, Any]) -> Any:
    kind = plain.pop("is", None)
    if kind is None:
        return plain
    if kind == "Job":
        return wire.decode(plain)
    return _KINDS[kind](**{name: _tuples(value) for name, value in plain.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
