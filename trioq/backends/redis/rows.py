"""Turns jobs into the fields of a hash and back.  No key and no script here: names of fields, and what each holds.

A value that is the default is no field, so that a hash is small.  A value is written in one way only: two records are
equal where their bytes are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ..._core import wire
from ..._core.errors import BackendError
from ..._core.job import DEAD, Job, State
from ..._core.lifecycle import Change

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]

_to_json: Final = msgspec.json.Encoder().encode
_from_json: Final = msgspec.json.Decoder().decode


def integer(value: int) -> bytes:
    """Encode a whole number as Lua writes it."""
    return b"%d" % value


def seconds(value: float) -> bytes:
    """Encode a time exactly, as Lua's ``%.17g`` writes it."""
    return b"%.17g" % value


def _text(value: str) -> bytes:
    # A broken file name becomes a lone surrogate in the text of an error: it is kept, too.
    return value.encode(errors="surrogatepass")


def _from_text(value: bytes) -> str:
    return value.decode(errors="surrogatepass")


_INTEGER: Final = (integer, int)
_SECONDS: Final = (seconds, float)
_TEXT: Final = (_text, _from_text)
_BYTES: Final = (bytes, bytes)

_STATES: Final[Mapping[bytes, State]] = {state.value.encode(): state for state in State}

#: The fields of Job that are fields of its hash, with encoder and decoder.  The others are packed into one, `options`.
COLUMNS: Final[Mapping[str, tuple[Encode, Decode]]] = {
    "task": _TEXT,
    "payload": _BYTES,
    "priority": _INTEGER,
    "max_crashes": _INTEGER,
    "unique_key": _TEXT,
    "seq": _INTEGER,
    "state": (lambda state: state.value.encode(), lambda value: _STATES[value]),
    "version": _INTEGER,
    "created_at": _SECONDS,
    "run_at": _SECONDS,
    "expires_at": _SECONDS,
    "started_at": _SECONDS,
    "finished_at": _SECONDS,
    "run": _INTEGER,
    "failures": _INTEGER,
    "crashes": _INTEGER,
    "snoozes": _INTEGER,
    "worker": _TEXT,
    "lease_until": _SECONDS,
    "progress": (_to_json, _from_json),
    "result": _BYTES,
    "error": _TEXT,
    "cancel_reason": _TEXT,
}

#: What the script of an insert fills in.
_STAMPED: Final = frozenset({"seq", "state", "created_at", "run_at", "expires_at"})
_INSERTED: Final = [(name, name.encode(), encode) for name, (encode, _) in COLUMNS.items() if name not in _STAMPED]

#: Fields that are absent while they are 0.
_COUNTERS: Final = frozenset({"version", "run", "failures", "crashes", "snoozes"})

#: The fields by their names in a change, each with its name in the hash.
_CHANGED: Final = {name: (name.encode(), encode, name in _COUNTERS) for name, (encode, _) in COLUMNS.items()}
_DECODERS: Final = {name.encode(): (name, decode) for name, (_, decode) in COLUMNS.items()}
_DEFAULTS: Final = Job(id="", queue="", task="").__dict__

#: The index that a job lies in, by its state; the scripts tell those on their last life apart.
_SHELVES: Final = {
    state: b"dead" if state in DEAD else b"ended" if state.final else state.shelf.value.encode() for state in State
}

#: The state that is shown for a record whose state can't be read: one of the same index.
_STAND_IN: Final = {
    b"ready": State.WAITING,
    b"alone": State.WAITING,
    b"timed": State.DELAYED,
    b"held": State.ACTIVE,
    b"parked": State.BLOCKED,
    b"ended": State.CANCELLED,
    b"dead": State.FAILED,
}


def _absent(name: str, value: Any) -> bool:
    return value is None or (value == 0 and name in _COUNTERS)


def new_fields(job: Job) -> list[bytes]:
    """Return the names and values of a new job's hash, but for what the store stamps."""
    fields: list[bytes] = []
    values = job.__dict__
    for name, key, encode in _INSERTED:
        value = values[name]
        if not _absent(name, value):
            fields += (key, encode(value))
    options = wire.pack(job)
    if options != b"{}":
        fields += (b"options", options)
    return fields


def changed_fields(change: Change) -> tuple[bytes, list[bytes], list[bytes]]:
    """Return the index that a change moves its job to, the names and values that it sets, and the names it clears."""
    given: list[bytes] = []
    cleared: list[bytes] = []
    for name, value in change.fields.items():
        if name not in _CHANGED:
            raise BackendError(f"a change can't set {name!r}: it is kept as it was enqueued")
        key, encode, counts = _CHANGED[name]
        if value is None or (counts and value == 0):
            cleared.append(key)
        else:
            given += (key, encode(value))
    return _SHELVES[change.state], given, cleared


def pack_progress(progress: Any) -> bytes:
    """Encode progress as its field holds it; nothing for none."""
    return b"" if progress is None else _to_json(progress)


def read_job(queue: str, id: str, pairs: Sequence[bytes]) -> Job | None:
    """Return the job of a hash; what can't be read has its default, and ``unreadable`` says why.  None for no hash."""
    if not pairs:
        return None
    job: Job = object.__new__(Job)
    fields = job.__dict__
    fields.update(_DEFAULTS, queue=queue, id=id, metadata={}, extra={})
    why: list[str] = []
    others: dict[bytes, bytes] = {}
    names = iter(pairs)
    for name, value in zip(names, names, strict=True):
        known = _DECODERS.get(name)
        if known is None:
            others[name] = value
            continue
        try:
            fields[known[0]] = known[1](value)
        except (ValueError, KeyError, TypeError, RecursionError, msgspec.DecodeError) as error:
            why.append(f"broken {known[0]}: {error}")
            if known[0] == "state":
                fields["state"] = None
    why += _complete(fields, others)
    if why:
        fields["unreadable"] = "; ".join(why)
    return job


def _complete(fields: dict[str, Any], others: Mapping[bytes, bytes]) -> Iterable[str]:
    """Fill in what several fields of the hash tell, and yield why a field could not be read."""
    if fields["state"] is None:
        fields["state"] = _STAND_IN.get(others.get(b"shelf", b""), State.FAILED)
    options = others.get(b"options")
    if options is not None:
        try:
            fields.update(wire.unpack(options))
        except (ValueError, TypeError) as error:
            yield f"broken options: {error}"


def states_by_count(pairs: Sequence[bytes]) -> dict[State, int]:
    """Return counts by state, without states that only a newer trioq has."""
    found = dict.fromkeys(State, 0)
    names = iter(pairs)
    for name, count in zip(names, names, strict=True):
        if name in _STATES:
            found[_STATES[name]] = int(count)
    return found
