"""Jobs as bytes: what is written is read back, and what nobody wrote is refused in one way."""

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
    """decode(encode(job)) is the same job in every field, those that a newer trioq wrote among them."""
    back = wire.decode(wire.encode(job))
    assert back == job
    assert type(back.backoff) is type(job.backoff)
    assert type(back.state) is State


@given(job=sts.records)
def test_text_and_mapping_are_read_like_bytes(job: Job) -> None:
    """A raw job may come as bytes, as text or as the decoded mapping."""
    data = wire.encode(job)
    assert wire.decode(data.decode()) == wire.decode(msgspec.json.decode(data)) == job


@given(job=sts.records, news=sts.unknown_fields)
def test_unknown_fields_survive_a_round_trip(job: Job, news: dict[str, Any]) -> None:
    """What a newer trioq added is kept, unread, and written back beside the other fields."""
    record = {**msgspec.json.decode(wire.encode(job.having({"extra": {}}))), **news}
    back = wire.decode(msgspec.json.encode(record))
    assert back.extra == news
    assert msgspec.json.decode(wire.encode(back)) == record


@given(job=sts.jobs())
def test_what_has_its_default_is_not_sent(job: Job) -> None:
    """A record on the wire holds the format and the fields that differ from a bare job: most jobs are short."""
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
    """No bytes make the reader raise anything but BadRecord, nor does what isn't even bytes."""
    _job_or_bad_record(data)


@given(job=sts.records, where=st.integers(0, 10_000), junk=st.binary(max_size=4), cut=st.integers(0, 40))
def test_a_damaged_record_is_a_bad_record_and_nothing_else(job: Job, where: int, junk: bytes, cut: int) -> None:
    """Nor do bytes that once were a job: overwritten, cut short, or with a hole."""
    data = wire.encode(job)
    where %= len(data)
    _job_or_bad_record(data[:where] + junk + data[where + cut :])


@given(
    fields=st.dictionaries(
        sts.field_names, sts.json_values | st.sampled_from([10**400, {"kind": "fixed", "seconds": 10**400}])
    )
)
def test_a_record_of_wrong_types_is_a_bad_record_and_nothing_else(fields: dict[str, Any]) -> None:
    """Nor does JSON with the right names and the wrong values."""
    _job_or_bad_record({"format": wire.FORMAT, "id": "1", "queue": "q", "task": "t", **fields})


@given(job=sts.records, version=sts.json_values.filter(lambda value: value != wire.FORMAT))
def test_another_format_is_refused(job: Job, version: Any) -> None:
    """A record of any format but this one is a BadRecord that names the format."""
    record = {**msgspec.json.decode(wire.encode(job)), "format": version}
    with pytest.raises(BadRecord, match="format"):
        wire.decode(record)


@given(state=sts.texts.filter(lambda text: text not in set(State)))
def test_an_unknown_state_is_refused(state: str) -> None:
    """A state that this trioq doesn't know is a BadRecord: such a job can't be claimed by mistake."""
    with pytest.raises(BadRecord):
        wire.decode({"format": wire.FORMAT, "id": "1", "queue": "q", "task": "t", "state": state})


@given(job=sts.records)
def test_options_survive_packing(job: Job) -> None:
    """What pack packs, unpack gives back: on a bare record it makes the same options again."""
    bare = Job(id=job.id, queue=job.queue, task=job.task)
    back = bare.having(wire.unpack(wire.pack(job)))
    assert {name: getattr(back, name) for name in sts.OPTIONS} == {name: getattr(job, name) for name in sts.OPTIONS}
    assert back.having({name: getattr(bare, name) for name in sts.OPTIONS}) == bare


@given(job=sts.records)
def test_plain_options_take_two_bytes(job: Job) -> None:
    """Packed options are ``{}`` exactly when each has its default."""
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
    """No bytes make unpack raise anything but BadRecord, or answer anything but options."""
    try:
        fields = wire.unpack(data)
    except BadRecord:
        return
    assert fields.keys() <= set(sts.OPTIONS)
    assert wire.unpack(wire.pack(Job(id="1", queue="q", task="t").having(fields))).items() <= fields.items()
