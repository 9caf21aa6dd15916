"""Jobs as bytes: one record, JSON, with a format number.  Unknown fields survive; unknown states can't be claimed.

Also the packing of the fields that a store keeps without looking at them (``pack`` and ``unpack``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, get_type_hints

import msgspec

from . import backoff
from .errors import TrioqError
from .job import Job

#: The number of the record format.  A reader refuses a newer one.
FORMAT: Final = 1

#: What is set at enqueue and never compared: a store may keep it as one packed field.
OPTIONS: Final = ("delay", "ttl", "timeout", "max_retries", "backoff", "metadata", "key", "parent", "extra")

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode
_NOT_SENT: Final = frozenset({"extra", "unreadable"})
_REQUIRED: Final = ("id", "queue", "task")
_DEFAULTS: Final = {**Job(id="", queue="", task="").__dict__, **dict.fromkeys(_REQUIRED)}
#: What decoding raises where the bytes are no record.
_BROKEN: Final = (msgspec.DecodeError, TypeError, ValueError, RecursionError)


def _typed(name: str, fields: Iterable[str]) -> type[msgspec.Struct]:
    """The types of these *fields* of a job."""
    hints = get_type_hints(Job)
    return msgspec.defstruct(
        name,
        [
            (
                field,
                Any if field == "backoff" else hints[field],
                msgspec.NODEFAULT if field in _REQUIRED else _DEFAULTS[field],
            )
            for field in fields
            if field not in _NOT_SENT
        ],
        kw_only=True,
    )


_Record: Final = _typed("_Record", _DEFAULTS)
_Options: Final = _typed("_Options", OPTIONS)


class BadRecord(TrioqError, ValueError):
    """These bytes are no job, or one of a newer format."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"this is not a job record: {why}")


def encode(job: Job) -> bytes:
    """The record as JSON bytes; fields that have their defaults are left out."""
    record = {"format": FORMAT, **job.extra}
    for name, value in job.__dict__.items():
        if name not in _NOT_SENT and value != _DEFAULTS[name]:
            record[name] = backoff.to_wire(value) if name == "backoff" else value
    return _encode(record)


def decode(data: bytes | str | Mapping[str, Any]) -> Job:
    """The job that `encode` wrote; BadRecord for anything else."""
    record = dict(data) if isinstance(data, Mapping) else _object(data)
    version = record.pop("format", None)
    if version != FORMAT:
        raise BadRecord(f"format {version!r}, and this trioq reads format {FORMAT}")
    return Job(**_take(_Record, record), extra=record)


def pack(job: Job) -> bytes:
    """The options of *job* that differ from the defaults, as JSON; most jobs have none."""
    if all(job.__dict__[name] == _DEFAULTS[name] for name in OPTIONS):
        return b"{}"
    packed = {name: job.__dict__[name] for name in OPTIONS if job.__dict__[name] != _DEFAULTS[name]}
    packed.pop("extra", None)
    if "backoff" in packed:
        packed["backoff"] = backoff.to_wire(packed["backoff"])
    return _encode({**job.extra, **packed})


def unpack(data: bytes) -> dict[str, Any]:
    """The fields that `pack` packed; BadRecord when they are broken."""
    if data == b"{}":
        return {}
    record = _object(data)
    fields = _take(_Options, record)
    return {**fields, "extra": record} if record else fields


def _object(data: bytes | str) -> dict[str, Any]:
    try:
        record = _decode(data)
    except _BROKEN as error:
        raise BadRecord(str(error)) from error
    if not isinstance(record, dict):
        raise BadRecord(f"it is a {type(record).__name__}")
    return record


def _take(kind: type[msgspec.Struct], record: dict[str, Any]) -> dict[str, Any]:
    """Take the fields of *kind* out of *record*, typed; what stays in it was written by a newer trioq."""
    known = {name: record.pop(name) for name in kind.__struct_fields__ if name in record}
    try:
        if "backoff" in known:
            known["backoff"] = backoff.from_wire(known["backoff"])
        plain = msgspec.convert(known, kind)
    except _BROKEN as error:
        raise BadRecord(str(error)) from error
    return {name: getattr(plain, name) for name in known}
