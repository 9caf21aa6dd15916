"""Jobs as bytes: what is written is read back, and all else is refused in one way."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from property_tests import strategies as sts
from trioq._core import wire
from trioq._core.job import Job, State
from trioq._core.wire import BadRecord


@given(job=sts.records)
def test_a_record_survives_the_wire(job: Job) -> None:
    """A job that is encoded and decoded is the same job in every field, those that a newer version wrote among them."""
    back = wire.decode(wire.encode(job))
    assert back == job
    assert type(back.backoff) is type(job.backoff)
    assert type(back.state) is State


@given(job=sts.records)
def test_text_and_mapping_are_read_like_bytes(job: Job) -> None:
    """A raw job may come as bytes, as text or as the decoded mapping: each is read as the same job."""
    data = wire.encode(job)
    assert wire.decode(data.decode()) == wire.decode(msgspec.json.decode(data)) == job


@given(job=sts.records, unknown=sts.unknown_fields)
def test_unknown_fields_survive_a_round_trip(job: Job, unknown: dict[str, Any]) -> None:
    """Fields that a newer version added to a record are kept unread, and written back beside the others."""
    record = {**msgspec.json.decode(wire.encode(job.having({"extra": {}}))), **unknown}
    back = wire.decode(msgspec.json.encode(record))
    assert back.extra == unknown
    assert msgspec.json.decode(wire.encode(back)) == record


@given(job=sts.jobs())
def test_what_has_its_default_is_not_sent(job: Job) -> None:
    """A record on the wire holds the number of its format and the fields that differ from those of a bare job, and
    nothing else.
    """
    bare = Job(id="", queue="", task="")
    sent = msgspec.json.decode(wire.encode(job))
    assert sent.keys() == {"format"} | {
        field.name for field in attrs.fields(Job) if getattr(job, field.name) != getattr(bare, field.name)
    }


def _job_or_bad_record(data: Any) -> None:
    try:
        job = wire.decode(data)
    except BadRecord:
        return
    assert wire.decode(wire.encode(job)) == job


@given(data=st.binary(max_size=50) | st.text(max_size=50) | sts.json_values | sts.json_values.map(msgspec.json.encode))
def test_garbage_is_a_bad_record_and_nothing_else(data: Any) -> None:
    """Whatever is read as a record is a job, or raises ``BadRecord`` and nothing else."""
    _job_or_bad_record(data)


@given(job=sts.records, where=st.integers(0, 10_000), junk=st.binary(max_size=4), cut=st.integers(0, 40))
def test_a_damaged_record_is_a_bad_record_and_nothing_else(job: Job, where: int, junk: bytes, cut: int) -> None:
    """Bytes that were a job until they were overwritten, cut short or torn apart are a job or raise ``BadRecord`` and
    nothing else.
    """
    data = wire.encode(job)
    where %= len(data)
    _job_or_bad_record(data[:where] + junk + data[where + cut :])


@given(
    fields=st.dictionaries(
        sts.field_names, sts.json_values | st.sampled_from([10**400, {"kind": "fixed", "seconds": 10**400}])
    )
)
def test_a_record_of_wrong_types_is_a_bad_record_and_nothing_else(fields: dict[str, Any]) -> None:
    """A record with the right names and wrong values is a job or raises ``BadRecord`` and nothing else."""
    _job_or_bad_record({"format": wire.FORMAT, "id": "1", "queue": "q", "task": "t", **fields})


@given(job=sts.records, version=sts.json_values.filter(lambda value: value != wire.FORMAT))
def test_another_format_is_refused(job: Job, version: Any) -> None:
    """A record of any other format raises a ``BadRecord`` that names the format."""
    record = {**msgspec.json.decode(wire.encode(job)), "format": version}
    with pytest.raises(BadRecord, match="format"):
        wire.decode(record)


@given(state=sts.texts.filter(lambda text: text not in set(State)))
def test_an_unknown_state_is_refused(state: str) -> None:
    """A record in a state that this version does not know raises ``BadRecord``, so no such job can be claimed by
    mistake.
    """
    with pytest.raises(BadRecord):
        wire.decode({"format": wire.FORMAT, "id": "1", "queue": "q", "task": "t", "state": state})


@given(job=sts.records)
def test_options_survive_packing(job: Job) -> None:
    """The options of a job that are packed and unpacked make the same options again on a bare record."""
    bare = Job(id=job.id, queue=job.queue, task=job.task)
    back = bare.having(wire.unpack(wire.pack(job)))
    assert {name: getattr(back, name) for name in sts.OPTIONS} == {name: getattr(job, name) for name in sts.OPTIONS}
    assert back.having({name: getattr(bare, name) for name in sts.OPTIONS}) == bare


@given(job=sts.records)
def test_plain_options_take_two_bytes(job: Job) -> None:
    """Packed options are ``{}`` exactly where every option has its default."""
    bare = Job(id="", queue="", task="")
    plain = all(getattr(job, name) == getattr(bare, name) for name in sts.OPTIONS)
    assert (wire.pack(job) == b"{}") == plain
    assert wire.pack(bare) == b"{}"


@given(
    data=st.binary(max_size=50)
    | sts.json_values.map(msgspec.json.encode)
    | st.dictionaries(st.sampled_from(sts.OPTIONS), sts.json_values).map(msgspec.json.encode)
)
def test_broken_options_are_a_bad_record_and_nothing_else(data: bytes) -> None:
    """Whatever bytes are unpacked as options, they give options and nothing else, or raise ``BadRecord`` and nothing
    else.
    """
    try:
        fields = wire.unpack(data)
    except BadRecord:
        return
    assert fields.keys() <= set(sts.OPTIONS)
    assert wire.unpack(wire.pack(Job(id="1", queue="q", task="t").having(fields))).items() <= fields.items()
