"""The record format by example: these bytes are in the stores of users."""

from __future__ import annotations

import msgspec
import pytest

from trioq._core import wire
from trioq._core.backoff import Fixed
from trioq._core.job import Job, State
from trioq._core.wire import BadRecord

BARE = Job(id="1", queue="q", task="t")


def test_a_bare_job_is_its_names_and_the_format() -> None:
    assert msgspec.json.decode(wire.encode(BARE)) == {"format": 1, "id": "1", "queue": "q", "task": "t"}


def test_a_record_of_format_1_reads_as_it_is_spelt_here() -> None:
    data = (
        b'{"format":1,"id":"1","queue":"q","task":"t","payload":"W1sxXSx7fV0=","seq":7,"state":"active","version":3,'
        b'"priority":-5,"ttl":60,"backoff":{"kind":"fixed","seconds":7},"metadata":{"by":"ada"},"run_at":2.5,'
        b'"expires_at":62.5,"run":1,"worker":"ada-1","lease_until":17.5,"progress":[0.5,"note"],"novel":{"a":1}}'
    )
    assert wire.decode(data) == BARE.having(
        {
            "payload": b"[[1],{}]",
            "seq": 7,
            "state": State.ACTIVE,
            "version": 3,
            "priority": -5,
            "ttl": 60.0,
            "backoff": Fixed(7),
            "metadata": {"by": "ada"},
            "run_at": 2.5,
            "expires_at": 62.5,
            "run": 1,
            "worker": "ada-1",
            "lease_until": 17.5,
            "progress": [0.5, "note"],
            "extra": {"novel": {"a": 1}},
        }
    )


def test_why_a_record_could_not_be_read_is_not_written() -> None:
    assert wire.encode(BARE.having({"unreadable": "broken"})) == wire.encode(BARE)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "truncated"),
        (b"[]", "it is a list"),
        (b"null", "it is a NoneType"),
        (b"{}", "format None"),
        (b'{"format":2,"id":"1","queue":"q","task":"t"}', "format 2, and this trioq reads format 1"),
        (b'{"format":1,"queue":"q","task":"t"}', "missing required field `id`"),
        (b'{"format":1,"id":1,"queue":"q","task":"t"}', "Expected `str`"),
        (b'{"format":1,"id":"1","queue":"q","task":"t","state":"paused"}', "Invalid enum value 'paused'"),
        (b'{"format":1,"id":"1","queue":"q","task":"t","payload":"?"}', "base64"),
        (b'{"format":1,"id":"1","queue":"q","task":"t","backoff":7}', "not a backoff policy: 7"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_what_is_no_record_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(BadRecord, match=f"not a job record: .*{why}"):
        wire.decode(data)


def test_what_is_not_even_bytes_is_refused() -> None:
    with pytest.raises(BadRecord):
        wire.decode(7)  # type: ignore[arg-type]


def test_options_are_packed_without_their_defaults() -> None:
    assert wire.pack(BARE) == b"{}"
    assert wire.pack(BARE.having({"timeout": 5.0})) == b'{"timeout":5.0}'
    assert wire.unpack(b"{}") == {}
    assert wire.unpack(b'{"timeout":5,"backoff":{"kind":"fixed","seconds":7}}') == {
        "timeout": 5.0,
        "backoff": Fixed(7),
    }


def test_an_option_that_a_newer_trioq_packed_is_kept() -> None:
    fields = wire.unpack(b'{"timeout":5.0,"novel":[1]}')
    assert fields == {"timeout": 5.0, "extra": {"novel": [1]}}
    assert msgspec.json.decode(wire.pack(BARE.having(fields))) == {"timeout": 5.0, "novel": [1]}


@pytest.mark.parametrize(
    "data",
    [b"", b"[1]", b'"x"', b"3", b'{"backoff":3}', b'{"backoff":[1]}', b'{"ttl":"soon"}', b'{"max_retries":null}'],
)
def test_broken_options_are_a_bad_record(data: bytes) -> None:
    with pytest.raises(BadRecord):
        wire.unpack(data)
