"""Turns rows into jobs and back.  No SQL and no connection here: the names of the columns, and what each holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

import msgspec

from ..._core import wire
from ..._core.errors import BackendError
from ..._core.job import Job, Shelf, State

#: The columns of `jobs` that are fields of Job, in the order in which a record is written and read.
COLUMNS: Final = (
    "state",
    "progress",
    "seq",
    "queue",
    "id",
    "task",
    "version",
    "priority",
    "max_crashes",
    "unique_key",
    "created_at",
    "run_at",
    "expires_at",
    "started_at",
    "finished_at",
    "run",
    "failures",
    "crashes",
    "snoozes",
    "worker",
    "lease_until",
    "result",
    "error",
    "cancel_reason",
)

#: What a statement that reads whole jobs selects.
RECORD: Final = ", ".join(f"j.{name}" for name in COLUMNS) + ", b.payload, b.options, j.shelf"

_FIELDS: Final = (*COLUMNS, "payload")
_COLUMNS: Final = frozenset(COLUMNS)
_DEFAULTS: Final = Job(id="", queue="", task="").__dict__
_STATES: Final = {state.value: state for state in State}
_TEXT: Final = {state: state.value for state in State}
_SHELVES: Final = {state: state.shelf.value for state in State}

#: The state that is shown for a record whose state can't be read: one of the same shelf.
_STAND_IN: Final = {
    Shelf.READY.value: State.WAITING,
    Shelf.TIMED.value: State.DELAYED,
    Shelf.HELD.value: State.ACTIVE,
    Shelf.PARKED.value: State.BLOCKED,
    Shelf.FINAL.value: State.FAILED,
}

_pick: Final = itemgetter(*COLUMNS[2:])
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

Row = Sequence[Any]


def job_row(job: Job) -> Row:
    """Return the row of `jobs` that keeps *job*: its columns, then its shelf."""
    state = job.state
    return (_TEXT[state], pack_progress(job.progress), *_pick(job.__dict__), _SHELVES[state])


def body_row(job: Job) -> Row:
    """Return the row of `bodies` that keeps what never changes."""
    return (job.seq, job.payload, wire.pack(job))


def pack_progress(progress: Any) -> bytes | None:
    """Encode progress as its column holds it."""
    return None if progress is None else _encode(progress)


def read_job(row: Row) -> Job:
    """Return the job of one RECORD; what can't be read has its default, and ``unreadable`` says why."""
    job: Job = object.__new__(Job)
    fields = job.__dict__
    fields.update(_DEFAULTS, metadata={}, extra={})
    fields.update(zip(_FIELDS, row, strict=False))
    why = list(_complete(fields, row[-2], row[-1]))
    if why:
        fields["unreadable"] = "; ".join(why)
    return job


def _complete(fields: dict[str, Any], options: bytes | None, shelf: str) -> Iterable[str]:
    """Decode the encoded fields in place, and yield why a field could not be read."""
    state = _STATES.get(fields["state"])
    if state is None:
        yield f"unknown state {fields['state']!r}"
        state = _STAND_IN[shelf]
    fields["state"] = state
    if options is None:
        fields["payload"] = _DEFAULTS["payload"]
        yield "its payload is gone"
    elif options != b"{}":
        try:
            fields.update(wire.unpack(options))
        except (ValueError, TypeError) as error:
            yield f"broken options: {error}"
    if fields["progress"] is not None:
        try:
            fields["progress"] = _decode(fields["progress"])
        except (msgspec.DecodeError, TypeError, RecursionError) as error:
            fields["progress"] = None
            yield f"broken progress: {error}"


def changed_columns(fields: Mapping[str, Any]) -> tuple[tuple[str, ...], list[Any]]:
    """Return the columns that a change sets, and their values.  A new state sets its shelf, too."""
    names, values = [], []
    for name, value in fields.items():
        if name == "state":
            names.append("shelf")
            values.append(_SHELVES[value])
            value = _TEXT[value]
        elif name == "progress":
            value = pack_progress(value)
        elif name not in _COLUMNS:
            raise BackendError(f"a change can't set {name!r}: it is kept as it was enqueued")
        names.append(name)
        values.append(value)
    return tuple(names), values


def states_by_count(rows: Iterable[tuple[str, int]], shelf: Shelf) -> Iterable[tuple[State, int]]:
    """Yield counts by state, as `read_job` would show the states."""
    for state, count in rows:
        yield _STATES.get(state, _STAND_IN[shelf.value]), count
