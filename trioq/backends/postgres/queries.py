"""The statements of ``queries.sql`` for a schema, by name.  Their text lives there; values are bound where they run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from .._base import Hint
from .._sql import fill, read_statements
from .rows import CLEARED, COLUMNS, COUNTERS, FIXED, STAMPED

#: What a statement that reads whole jobs selects.
_RECORD: Final = ", ".join(f"j.{name}" for name in COLUMNS) + ", j.options, j.shelf"

#: The store's now: the server's clock, unless another is given.
_CLOCK: Final = "SELECT coalesce(%(now)s::float8, extract(epoch FROM clock_timestamp())::float8) AS now"

#: Whether a notification has room.  Where another session keeps the server's queue of notifications from being emptied,
#: it fills up, and then each COMMIT that notifies fails: hints are dropped before that.
_ROOM: Final = "pg_notification_queue_usage() < 0.9"

#: Several names, or messages, as one value: none has a line break in it.
_LINES: Final = {name: f"string_to_array(%({name})s::text, E'\\n')" for name in ("queues", "carried")}

#: The queues that a claim asks, but for the paused ones, in the order given.
_ASKED: Final = (
    "SELECT a.queue FROM unnest({queues}) WITH ORDINALITY AS a (queue, place) "
    "WHERE NOT EXISTS (SELECT FROM {paused} AS p WHERE p.queue = a.queue) ORDER BY a.place"
)

#: Jobs of a queue, by their ids.
_IDS: Final = "SELECT %(queue)s::text AS queue, id FROM unnest(%(ids)s::text[]) AS id"

#: From each queue that has a record to the next; the last row is no queue.
_NAMED: Final = (
    "(SELECT queue FROM {jobs} ORDER BY queue LIMIT 1) UNION ALL "
    "SELECT (SELECT j.queue FROM {jobs} AS j WHERE j.queue > named.queue ORDER BY j.queue LIMIT 1) "
    "FROM named WHERE named.queue IS NOT NULL"
)

_GIVEN: Final = ["options", *(name for name in COLUMNS if name not in STAMPED)]


def _typed(names: Iterable[str]) -> str:
    """Return the columns of a JSON document: bytes are Base64 in it."""
    types = ((name, COLUMNS.get(name, "bytea")) for name in names)
    return ", ".join(f"{name} {'text' if kind == 'bytea' else kind}" for name, kind in types)


def _value(name: str) -> str:
    value = f"given.{name}"
    if COLUMNS.get(name, "bytea") == "bytea":
        value = f"decode({value}, 'base64')"
    return f"coalesce({value}, 0)" if name in COUNTERS else value


def _assignment(name: str) -> str:
    value = _value(name) if name not in COUNTERS else f"given.{name}"
    kept = f"coalesce({value}, j.{name})"
    if name not in CLEARED:
        return f"{name} = {kept}"
    return f"{name} = CASE WHEN given.cleared & {CLEARED[name]} = 0 THEN {kept} END"


def quoted(name: str) -> str:
    """Quote an identifier, whatever it has in it."""
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    """Quote a string for a statement, in which a percent sign begins a bound value."""
    return "'" + value.replace("'", "''").replace("%", "%%") + "'"


def channel_of(schema: str) -> str:
    """Return the channel on which hints are sent, in at most 63 bytes."""
    if len(schema.encode()) <= 40:
        return f"trioq:{schema}"
    return f"trioq:{hashlib.sha256(schema.encode()).hexdigest()[:40]}"


@lru_cache(maxsize=64)
def statements(schema: str) -> Mapping[str, bytes]:
    """Return the statements for the tables of *schema*."""
    prefix = f"{quoted(schema)}."
    tables = {name: (prefix + name).replace("%", "%%") for name in ("jobs", "paused", "workers", "trioq_migrations")}
    changeable = [name for name in COLUMNS if name not in FIXED]
    replacements = {
        **tables,
        **_LINES,
        "seqs": _literal(f"{prefix}seqs"),
        "channel": _literal(channel_of(schema)),
        "cancelled": str(Hint.CANCELLED.value),
        "clock": _CLOCK,
        "room": _ROOM,
        "asked": fill(_ASKED, {**tables, **_LINES}),
        "ids": _IDS,
        "named": fill(_NAMED, tables),
        "record": _RECORD,
        "new": f"n integer, reserved bigint, asked_at float8, delay float8, ttl float8, {_typed(_GIVEN)}",
        "columns": ", ".join(_GIVEN),
        "values": ", ".join(map(_value, _GIVEN)),
        "changed": "n integer, queue text, id text, seq bigint, was integer, leased float8, cleared integer, "
        f"hint integer, shelf text, {_typed(changeable)}",
        "assignments": ", ".join(map(_assignment, changeable)),
    }
    return {name: text.encode() for name, text in read_statements(__package__, replacements).items()}
