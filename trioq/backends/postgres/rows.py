"""Turns jobs and changes into JSON that a statement unpacks, and rows into jobs.  No SQL and no connection here.

A batch travels as one JSON document: a single value, whatever differs between its items.  What a column holds as bytes
is Base64 there, as msgspec writes bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ..._core import wire
from ..._core.errors import BackendError
from ..._core.job import Job, Shelf, State
from ..._core.lifecycle import Change

#: The columns of `jobs` that are fields of Job, and their types, in the order in which a record is read.
COLUMNS: Final[Mapping[str, str]] = {
    "state": "text",
    "progress": "bytea",
    "error": "bytea",
    "cancel_reason": "bytea",
    "seq": "bigint",
    "queue": "text",
    "id": "text",
    "task": "text",
    "version": "integer",
    "priority": "smallint",
    "max_crashes": "integer",
    "unique_key": "text",
    "created_at": "float8",
    "run_at": "float8",
    "expires_at": "float8",
    "started_at": "float8",
    "finished_at": "float8",
    "run": "integer",
    "failures": "integer",
    "crashes": "integer",
    "snoozes": "integer",
    "worker": "text",
    "lease_until": "float8",
    "result": "bytea",
    "payload": "bytea",
}

#: What is set at enqueue, and by no change after it.
FIXED: Final = frozenset(
    {"seq", "queue", "id", "task", "priority", "max_crashes", "unique_key", "created_at", "payload"}
)

#: What the statement of an insert fills in.
STAMPED: Final = frozenset({"seq", "state", "created_at", "run_at", "expires_at"})

#: Absent from a document while they are 0.
COUNTERS: Final = frozenset({"version", "run", "failures", "crashes", "snoozes"})

#: What a change can clear, each by a bit.
CLEARED: Final = {
    "expires_at": 1,
    "started_at": 2,
    "finished_at": 4,
    "worker": 8,
    "lease_until": 16,
    "progress": 32,
    "result": 64,
    "error": 128,
    "cancel_reason": 256,
}

_FIELDS: Final = tuple(COLUMNS)
_CHANGEABLE: Final = frozenset(COLUMNS) - FIXED
_GIVEN: Final = [name for name in COLUMNS if name not in STAMPED]
_STATES: Final = {state.value: state for state in State}
_SHELVES: Final = {state: state.shelf.value for state in State}

#: The fields that have no column, with their values where the options don't have them.
_OPTIONAL: Final = {k: value for k, value in Job(id="", queue="", task="").__dict__.items() if k not in COLUMNS}

#: The state that is shown for a record whose state can't be read: one of the same shelf.
_STAND_IN: Final = {
    Shelf.READY.value: State.WAITING,
    Shelf.TIMED.value: State.DELAYED,
    Shelf.HELD.value: State.ACTIVE,
    Shelf.PARKED.value: State.BLOCKED,
    Shelf.FINAL.value: State.FAILED,
}

_to_json: Final = msgspec.json.Encoder().encode
_from_json: Final = msgspec.json.Decoder().decode

Row = Sequence[Any]


def document(items: Any) -> str:
    """Encode a batch as one value."""
    return _to_json(items).decode()


def _text(value: str) -> bytes:
    # A broken file name becomes a lone surrogate in the text of an error: it is kept, too.
    return value.encode(errors="surrogatepass")


#: What turns a value of these fields into one of its column.
_ENCODERS: Final = {"progress": _to_json, "error": _text, "cancel_reason": _text}


def new_item(n: int, job: Job) -> dict[str, Any]:
    """Return the item of a new job, but for what the store stamps; its place in the batch is *n*."""
    values = job.__dict__
    item = {"n": n, "options": wire.pack(job), "asked_at": job.run_at, "delay": job.delay, "ttl": job.ttl}
    for name in _GIVEN:
        value = values[name]
        if value is not None and not (value == 0 and name in COUNTERS):
            item[name] = _ENCODERS[name](value) if name in _ENCODERS else value
    return item


def change_item(n: int, change: Change, hint: int) -> dict[str, Any]:
    """Return what a change compares, and what it sets and clears; its place in the batch is *n*."""
    item: dict[str, Any] = {
        "n": n,
        "queue": change.queue,
        "id": change.id,
        "seq": change.seq,
        "was": change.version,
        "leased": change.lease_until,
        "shelf": _SHELVES[change.state],
        "hint": hint,
    }
    cleared = 0
    for name, value in change.fields.items():
        if name not in _CHANGEABLE:
            raise BackendError(f"a change can't set {name!r}: it is kept as it was enqueued")
        if value is None:
            cleared |= CLEARED[name]
        else:
            item[name] = _ENCODERS[name](value) if name in _ENCODERS else value
    item["cleared"] = cleared
    return item


def pack_progress(progress: Any) -> bytes | None:
    """Encode progress as its column holds it."""
    return None if progress is None else _to_json(progress)


def read_job(row: Row) -> Job:
    """Return the job of one record; what can't be read has its default, and ``unreadable`` says why."""
    job: Job = object.__new__(Job)
    fields = job.__dict__
    fields.update(_OPTIONAL, metadata={}, extra={})
    fields.update(zip(_FIELDS, row, strict=False))
    why = list(_complete(fields, row[-2], row[-1]))
    if why:
        fields["unreadable"] = "; ".join(why)
    return job


def _complete(fields: dict[str, Any], options: bytes, shelf: str) -> Iterable[str]:
    """Decode the encoded fields in place, and yield why a field could not be read."""
    state = _STATES.get(fields["state"])
    if state is None:
        yield f"unknown state {fields['state']!r}"
        state = _STAND_IN[shelf]
    fields["state"] = state
    if options != b"{}":
        try:
            fields.update(wire.unpack(options))
        except (ValueError, TypeError) as error:
            yield f"broken options: {error}"
    for name in ("error", "cancel_reason"):
        if fields[name] is not None:
            try:
                fields[name] = fields[name].decode(errors="surrogatepass")
            except UnicodeDecodeError as error:
                fields[name] = fields[name].decode(errors="replace")
                yield f"broken {name}: {error}"
    if fields["progress"] is not None:
        try:
            fields["progress"] = _from_json(fields["progress"])
        except (msgspec.DecodeError, TypeError, RecursionError) as error:
            fields["progress"] = None
            yield f"broken progress: {error}"


def is_stored(change: Change, job: Job) -> bool:
    """Whether the record already holds the change: a repeated write is not stale."""
    record = job.__dict__
    return all(record[name] == value for name, value in change.fields.items())


def states_by_count(rows: Iterable[Row]) -> dict[State, int]:
    """Return counts by state, as `read_job` would show the states."""
    found = dict.fromkeys(State, 0)
    for shelf, state, count in rows:
        found[_STATES.get(state, _STAND_IN[shelf])] += count
    return found
