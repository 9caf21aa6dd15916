"""Arguments and results: what is accepted comes back as it was; what JSON would lose or change is refused at once."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import dataclass
from decimal import Decimal
from math import inf, nan
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from property_tests import strategies as sts
from trioq._core import payload
from trioq._core.errors import NotSerializable, PayloadTooLarge, TrioqError
from trioq._core.payload import Codec, Signature

LIMIT = 2**20

# --- values -------------------------------------------------------------------------------------


class Shout(str):
    """A str that JSON would turn into a plain one."""


class Level(enum.IntEnum):
    LOW = 1


#: Values that JSON has no word for, or has another word for.
lossy = st.sampled_from(
    [
        nan,
        inf,
        -inf,
        (),
        (1, 2),
        {1},
        frozenset(),
        b"",
        b"bytes",
        bytearray(b"x"),
        {1: "int key"},
        {None: 0},
        {(1, 2): 0},
        "\ud800",
        {"\udfff": 0},
        dt.datetime(2024, 2, 29, tzinfo=dt.UTC),
        dt.timedelta(seconds=1),
        uuid.UUID(int=7),
        Decimal("0.1"),
        1j,
        object(),
        print,
        Shout("hi"),
        Level.LOW,
        {Shout("key"): 0},
        {Level.LOW: 0},
        range(3),
    ]
)


def inside(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """*leaf* itself, or somewhere within lists and mappings that are fine but for it."""
    return st.recursive(
        leaf,
        lambda inner: (
            st.tuples(st.lists(sts.json_values, max_size=2), inner).map(lambda pair: [*pair[0], pair[1]])
            | st.tuples(sts.json_objects, sts.texts, inner).map(lambda three: {**three[0], three[1]: three[2]})
        ),
        max_leaves=3,
    )


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def twins(left: Any, right: Any) -> bool:
    """The same value and type all the way down, judged by their spelling, which tells 1, 1.0 and True apart."""
    if isinstance(left, dict) and isinstance(right, dict):
        return sorted(left) == sorted(right) and all(twins(left[key], right[key]) for key in left)
    return repr(left) == repr(right)


# --- without annotations ------------------------------------------------------------------------


@given(args=st.lists(sts.json_values, max_size=3), kwargs=sts.json_objects)
def test_plain_json_comes_back_as_it_was(args: list[Any], kwargs: dict[str, Any]) -> None:
    """Without annotations every JSON value is accepted, and comes back with the same value and the same type."""
    assert twins(payload.read(payload.encode_untyped(args, kwargs, LIMIT)), (args, kwargs))


@given(value=inside(lossy))
def test_what_json_would_change_is_refused(value: Any) -> None:
    """Without annotations a value that JSON would lose or change is refused with ``NotSerializable``, however deep it
    is nested: tuples, sets, bytes, NaN, infinities, lone surrogates, keys that are no strings, subclasses of plain
    types.
    """
    with pytest.raises(NotSerializable, match="can't be stored") as refused:
        payload.encode_untyped([value], {}, LIMIT)
    assert isinstance(refused.value, TypeError)
    with pytest.raises(NotSerializable):
        payload.encode_untyped([], {"x": value}, LIMIT)
    with pytest.raises(NotSerializable, match="the result"):
        Codec().encode_result(value, LIMIT)
    with pytest.raises(NotSerializable):
        Signature.of(lambda x: x).encode([value], {}, LIMIT)


@given(value=st.integers() | st.integers(2**64, 2**80) | st.integers(-(2**80), -(2**63) - 1))
def test_an_integer_comes_back_exactly_or_is_refused(value: int) -> None:
    """An integer of 64 bits comes back exactly; a longer one comes back exactly or is refused, and never becomes
    another number.
    """
    try:
        data = payload.encode_untyped([value], {}, LIMIT)
    except NotSerializable:
        assert not -(2**63) <= value < 2**64
    else:
        assert twins(payload.read(data), ([value], {}))


@given(depth=st.integers(0, 1_200))
def test_nesting_comes_back_or_is_refused(depth: int) -> None:
    """However deep a value is nested, it is stored whole or refused with ``NotSerializable``, and never raises
    ``RecursionError``.
    """
    try:
        data = payload.encode_untyped([nested(depth)], {}, LIMIT)
    except NotSerializable:
        assert depth > 100
    else:
        assert payload.read(data) == ([nested(depth)], {})


@given(args=st.lists(sts.json_values, max_size=3), kwargs=sts.json_objects, slack=st.integers(-3, 3))
def test_the_limit_is_exact(args: list[Any], kwargs: dict[str, Any], slack: int) -> None:
    """Arguments of exactly the limit are stored; with one byte more they raise ``PayloadTooLarge``, which holds the
    size and the limit.
    """
    size = len(payload.encode_untyped(args, kwargs, LIMIT))
    if slack >= 0:
        assert len(payload.encode_untyped(args, kwargs, size + slack)) == size
    else:
        with pytest.raises(PayloadTooLarge) as refused:
            payload.encode_untyped(args, kwargs, size + slack)
        assert (refused.value.size, refused.value.limit) == (size, size + slack)


@given(data=st.binary(max_size=40) | sts.json_values.map(msgspec.json.encode))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    """Stored bytes that are no arguments raise ``ValueError`` and nothing else, for a task of any signature."""
    try:
        args, kwargs = payload.read(data)
    except ValueError:
        with pytest.raises(ValueError, match="not a job's arguments"):
            Signature.of(lambda *args, **kwargs: None).decode(data)
    else:
        assert isinstance(args, list)
        assert isinstance(kwargs, dict)
        assert Signature.of(lambda *args, **kwargs: None).decode(data) == (args, kwargs)


# --- with annotations ---------------------------------------------------------------------------


@dataclass
class Point:
    x: int
    label: str | None = None
    weights: tuple[float, ...] = ()


finite = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**63), 2**63 - 1)

#: What a parameter can be annotated with, and values that fit it.
annotated = st.one_of(
    [
        st.tuples(st.just(annotation), values)
        for annotation, values in (
            (int, integers),
            (float, finite),
            (float | None, finite | st.none()),
            (str, sts.texts),
            (bytes, st.binary(max_size=20)),
            (list[int], st.lists(integers, max_size=4)),
            (tuple[int, str], st.tuples(integers, sts.texts)),
            (tuple[float, ...], st.lists(finite, max_size=4).map(tuple)),
            (set[int], st.sets(integers, max_size=4)),
            (frozenset[str], st.frozensets(sts.texts, max_size=4)),
            (dict[int, str], st.dictionaries(integers, sts.texts, max_size=4)),
            (dict[str, tuple[int, int]], st.dictionaries(sts.texts, st.tuples(integers, integers), max_size=3)),
            (dt.datetime, st.datetimes() | st.datetimes(timezones=st.just(dt.UTC))),
            (dt.date, st.dates()),
            (uuid.UUID, st.uuids()),
            (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
            (Level, st.sampled_from(Level)),
            (Literal["a", "b"], st.sampled_from(["a", "b"])),
            (Point, st.builds(Point, integers, st.none() | sts.texts, st.lists(finite, max_size=3).map(tuple))),
            (list[Point | None], st.lists(st.none() | st.builds(Point, integers), max_size=3)),
            (tuple[Any, ...], st.lists(sts.json_values, max_size=3).map(tuple)),
            (Any, sts.json_values),
        )
    ]
)


def task_of(annotation: Any) -> Signature:
    """The signature of a task that takes and gives one such value."""

    def task(x, /, y, *more, z, **others):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    task.__annotations__ = dict.fromkeys(["x", "y", "more", "z", "others", "return"], annotation)
    return Signature.of(task)


@given(pair=annotated)
def test_an_annotated_value_comes_back_as_its_annotation(pair: tuple[Any, Any]) -> None:
    """A value that fits its annotation comes back equal and of the same type, wherever in the call it stands, and so
    does a result.
    """
    annotation, value = pair
    task = task_of(annotation)
    args, kwargs = [value, value, value], {"z": value, "another": value}
    back = task.decode(task.encode(args, kwargs, LIMIT))
    assert back == (args, kwargs)
    assert all(type(found) is type(value) for found in [*back[0], *back[1].values()])
    assert task.result.decode_result(task.result.encode_result(value, LIMIT)) == value


@given(
    number=st.sampled_from([nan, inf, -inf]),
    shape=st.sampled_from(
        [
            (float, lambda number: number),
            (float | None, lambda number: number),
            (list[float | None], lambda number: [1.0, number]),
            (dict[str, float | None], lambda number: {"a": number}),
            (tuple[float | None, ...], lambda number: (number,)),
            (set[float | None], lambda number: {number}),
            (list[Point | None], lambda number: [Point(1, weights=(number,))]),
            (Any, lambda number: number),
            (list, lambda number: [number]),
            (dict[str, Any], lambda number: {"a": [number]}),
        ]
    ),
)
def test_what_is_no_number_is_refused_under_any_annotation(number: float, shape: tuple[Any, Any]) -> None:
    """NaN and the infinities are refused under every annotation, also under one that would take the null that JSON
    makes of them.
    """
    annotation, wrap = shape
    with pytest.raises(NotSerializable):
        task_of(annotation).encode([wrap(number), wrap(0.0)], {"z": wrap(0.0)}, LIMIT)
    with pytest.raises(NotSerializable, match="the result"):
        task_of(annotation).result.encode_result(wrap(number), LIMIT)


@given(annotation=annotated.map(lambda pair: pair[0]), value=sts.json_values | inside(lossy))
def test_a_call_that_is_accepted_can_be_run(annotation: Any, value: Any) -> None:
    """Whatever is passed for whatever annotation, it is refused at enqueue, or the handler gets its arguments."""
    task = task_of(annotation)
    try:
        data = task.encode([value, value], {"z": value}, LIMIT)
    except (TrioqError, TypeError):
        return
    args, kwargs = task.decode(data)
    assert len(args) == 2
    assert kwargs.keys() == {"z"}


@given(args=st.lists(sts.json_scalars, max_size=3), kwargs=st.dictionaries(st.sampled_from("abcd"), sts.json_scalars))
def test_a_call_that_python_would_refuse_is_refused_at_enqueue(args: list[Any], kwargs: dict[str, Any]) -> None:
    """Arguments are accepted at enqueue exactly where Python would accept the call; stored ones that do not fit the
    signature raise ``ValueError``.
    """

    def task(a: Any, /, b: Any, *, c: Any = 0) -> None:
        """Take some arguments."""

    signature = Signature.of(task)
    stored = payload.encode_untyped(args, kwargs, LIMIT)
    try:
        task(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError):
            signature.encode(args, kwargs, LIMIT)
        with pytest.raises(ValueError, match="do not fit"):
            signature.decode(stored)
    else:
        assert signature.decode(signature.encode(args, kwargs, LIMIT)) == (args, kwargs)
