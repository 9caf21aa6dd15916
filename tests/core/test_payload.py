"""The codec of arguments and results by example."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from math import nan
from typing import Any, TypedDict, TypeVar

import attrs
import msgspec
import msgspec.inspect
import pytest

from trioq._core import payload
from trioq._core.errors import NotSerializable, PayloadTooLarge
from trioq._core.payload import NO_ARGUMENTS, Codec, Signature
from trioq._core.roundtrip import same

LIMIT = 2**20


class Level(IntEnum):
    LOW = 1


@dataclass
class Address:
    street: str
    number: int | None = None


def send(to: str, *cc: str, when: datetime | None = None, **headers: list[int]) -> tuple[int, ...]:
    """A task with every kind of parameter but the positional-only."""
    return (len(cc),)


SEND = Signature.of(send)


def untyped(to, subject="hi"):  # type: ignore[no-untyped-def]
    """A task without annotations."""


UNTYPED = Signature.of(untyped)


# --- arguments ----------------------------------------------------------------------------------


def test_a_call_is_an_array_of_positional_and_keyword_arguments() -> None:
    assert SEND.encode(["a", "b"], {"x": [1]}, LIMIT) == b'[["a","b"],{"x":[1]}]'


def test_a_call_without_arguments_is_always_the_same_bytes() -> None:
    def ping() -> None:
        """Take nothing."""

    assert Signature.of(ping).encode([], {}, LIMIT) == NO_ARGUMENTS
    assert Signature.of(ping).decode(NO_ARGUMENTS) == ([], {})


def test_arguments_come_back_as_their_annotations() -> None:
    when = datetime(2024, 2, 29, tzinfo=UTC)
    args, kwargs = SEND.decode(SEND.encode(["a", "b"], {"when": when, "x": [1]}, LIMIT))
    assert (args, kwargs) == (["a", "b"], {"when": when, "x": [1]})


def test_every_kind_of_parameter_is_held_to_its_annotation() -> None:
    for args, kwargs in ([1], {}), (["a", 1], {}), (["a"], {"when": "soon"}), (["a"], {"x": ["one"]}):
        with pytest.raises(NotSerializable):
            SEND.encode(args, kwargs, LIMIT)


def test_a_refusal_names_the_argument() -> None:
    with pytest.raises(NotSerializable, match="argument 'subject' can't be stored"):
        UNTYPED.encode(["a"], {"subject": (1, 2)}, LIMIT)
    with pytest.raises(NotSerializable, match=r"argument '\*args' can't be stored"):
        SEND.encode(["a", 1], {}, LIMIT)


@pytest.mark.parametrize("args", [[], ["a", "b", "c"]])
def test_arguments_that_python_would_refuse_are_a_type_error(args: list[str]) -> None:
    with pytest.raises(TypeError):
        UNTYPED.encode(args, {}, LIMIT)


@pytest.mark.parametrize(
    "fn",
    [
        lambda: None,
        lambda a: None,
        lambda a, b=0: None,
        lambda a, /, b: None,
        lambda a, *more: None,
        lambda *more: None,
        lambda a, *, k: None,
        lambda a, *, k=0: None,
        lambda a=0, **more: None,
    ],
)
@pytest.mark.parametrize("number", range(4))
def test_as_many_positional_arguments_fit_as_python_says(fn: Callable[..., None], number: int) -> None:
    signature, args = Signature.of(fn), list(range(number))
    try:
        fn(*args)
    except TypeError:
        with pytest.raises(TypeError):
            signature.encode(args, {}, LIMIT)
        with pytest.raises(ValueError, match="do not fit the task"):
            signature.decode(payload.encode([args, {}], "them"))
    else:
        assert signature.decode(signature.encode(args, {}, LIMIT)) == (args, {})


def test_a_call_that_fitted_says_nothing_of_one_with_other_names() -> None:
    signature = Signature.of(lambda a, *, b=0: None)
    assert signature.decode(signature.encode([1], {"b": 2}, LIMIT)) == ([1], {"b": 2})
    with pytest.raises(TypeError):
        signature.encode([1], {"c": 2}, LIMIT)
    with pytest.raises(TypeError):
        signature.encode([1, 2], {}, LIMIT)


def test_names_that_are_data_are_not_remembered() -> None:
    signature = Signature.of(lambda to="", **scores: None)
    for number in range(1_000):
        signature.encode([], {f"player {number}": number}, LIMIT)
        signature.encode([], {"to": "ann"}, LIMIT)
    assert signature.fitted == {(0, "to")}


def test_no_more_than_so_many_shapes_of_calls_are_remembered() -> None:
    signature = Signature.of(lambda a=0, b=0, c=0, d=0, e=0, f=0, g=0: None)
    for number in range(128):
        names = [name for place, name in enumerate("abcdefg") if number & 1 << place]
        signature.encode([], dict.fromkeys(names, 1), LIMIT)
    assert len(signature.fitted) == 100


def test_arguments_that_are_left_out_are_left_to_the_function() -> None:
    def task(a: int, b: float = 1.5, c: list[int] = [1]) -> None: ...  # noqa: B006

    signature = Signature.of(task)
    for args in ([1], [1, 2.0], [1, 2.0, [3]]):
        assert signature.decode(signature.encode(args, {}, LIMIT)) == (args, {})
    with pytest.raises(ValueError, match="do not fit the task"):
        signature.decode(b"[[1,2.0,[3],4],{}]")
    with pytest.raises(ValueError, match="Expected `float`"):
        signature.decode(b'[[1,"2"],{}]')


def test_arguments_that_no_longer_fit_the_task_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="do not fit the task"):
        UNTYPED.decode(b'[[],{"name":1}]')
    with pytest.raises(ValueError, match="Expected `str`"):
        SEND.decode(b"[[1],{}]")
    with pytest.raises(ValueError, match="do not fit the task"):
        UNTYPED.decode(NO_ARGUMENTS)


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"[[]]", b'["a","b"]', b"[{},[]]", b"[[],{}", b"\xff", b"[" * 5_000]
)
def test_bytes_that_are_no_arguments_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a job's arguments"):
        payload.read(data)


def test_a_dataclass_travels_as_an_object_and_comes_back_as_itself() -> None:
    def move(to: Address, via: list[Address]) -> None:
        """Move."""

    task = Signature.of(move)
    args = [Address("High Street", 1), [Address("Mill Lane")]]
    assert task.decode(task.encode(args, {}, LIMIT)) == (args, {})


def test_nan_is_refused_where_the_annotation_would_take_the_null_that_it_becomes() -> None:
    def weigh(weight: float | None) -> None:
        """Weigh."""

    with pytest.raises(NotSerializable, match="JSON would turn nan into None"):
        Signature.of(weigh).encode([nan], {}, LIMIT)
    assert Signature.of(weigh).decode(b"[[null],{}]") == ([None], {})


def test_a_parameter_that_says_only_list_or_any_is_held_to_the_strict_rule() -> None:
    def task(a: list, b: Any, c: dict[str, Any]) -> None:  # type: ignore[type-arg]
        """Take anything."""

    signature = Signature.of(task)
    for args in ([(1,)], 1, {}), ([], (1,), {}), ([], 1, {"k": {1}}):
        with pytest.raises(NotSerializable):
            signature.encode(args, {}, LIMIT)
    assert signature.decode(signature.encode([[1], None, {"k": [0.5]}], {}, LIMIT)) == ([[1], None, {"k": [0.5]}], {})


T = TypeVar("T")


@dataclass
class Note:
    body: Any
    weight: float = 0.0


@attrs.define
class Box:
    items: list  # type: ignore[type-arg]


class Parcel(msgspec.Struct):
    label: dict  # type: ignore[type-arg]


class Row(TypedDict):
    cells: Sequence  # type: ignore[type-arg]


@dataclass
class Tree:
    name: str
    kids: list[Tree]


def signature(annotation: Any) -> Signature:
    """Of a task with one parameter."""

    def task(x):  # type: ignore[no-untyped-def]
        """Take it."""

    task.__annotations__ = {"x": annotation}
    return Signature.of(task)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Sequence, (1, 2)),
        (Mapping, {1: "one"}),
        (Iterable, (1, 2)),
        (Iterable[int], (1, 2)),
        (typing.List, [(1,)]),  # noqa: UP006
        (T, (1, 2)),
        (tuple, (Level.LOW,)),
        (list, [Level.LOW]),
        (set, {Level.LOW}),
        (Note, Note((1, 2))),
        (Note, Note(Level.LOW)),
        (Box, Box([(1,)])),
        (Parcel, Parcel({1: "one"})),
        (Row, {"cells": (1,)}),
        (list[Note | None], [Note((1,))]),
        (dict[str, Box], {"a": Box([{1: 2}])}),
        (object, (1,)),
    ],
    ids=str,
)
def test_what_an_annotation_leaves_open_must_survive_json(annotation: Any, value: Any) -> None:
    with pytest.raises(NotSerializable, match="JSON would turn"):
        signature(annotation).encode([value], {}, LIMIT)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Sequence, [1, 2]),
        (Mapping, {"a": 1}),
        (Iterable, [1, 2]),
        (T, [1]),
        (tuple, (1, [2])),
        (set, {1, 2}),
        (Note, Note([1, {"a": None}], weight=1)),
        (Box, Box([1])),
        (Parcel, Parcel({"a": 1})),
        (Row, {"cells": [1]}),
        (Tree, Tree("a", [Tree("b", [])])),
        (float, 3),
        (float, 2**60),
        (int, 2**60 + 1),
        (int | float, 2**60 + 1),
        (list[int], (1, 2)),
    ],
    ids=str,
)
def test_what_does_survive_is_taken(annotation: Any, value: Any) -> None:
    task = signature(annotation)
    [back], _ = task.decode(task.encode([value], {}, LIMIT))
    assert back == (list(value) if annotation == list[int] else value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float, 2**60 + 1),
        (list[float], [1, -(2**60) - 1]),
        (dict[float, int], {2**60 + 1: 1}),
        (Note, Note(None, weight=2**60 + 1)),
    ],
    ids=str,
)
def test_an_integer_that_a_float_cannot_hold_is_no_float(annotation: Any, value: Any) -> None:
    with pytest.raises(NotSerializable, match="JSON would turn"):
        signature(annotation).encode([value], {}, LIMIT)


def test_an_annotation_is_looked_into_once(monkeypatch: pytest.MonkeyPatch) -> None:
    task = signature(list[Note])
    monkeypatch.delattr(msgspec.inspect, "type_info")
    assert task.encode([[Note(1)]], {}, LIMIT) == b'[[[{"body":1,"weight":0.0}]],{}]'


def test_a_class_whose_own_annotations_cannot_be_resolved_counts_as_none() -> None:
    @dataclass
    class Lost:
        at: Nowhere  # type: ignore[name-defined]  # noqa: F821

    task = signature(Lost)
    assert task.decode(task.encode([[1]], {}, LIMIT)) == ([[1]], {})


def test_annotations_that_cannot_be_resolved_count_as_none() -> None:
    def task(a: Missing) -> Missing:  # type: ignore[name-defined]  # noqa: F821
        """Name a type that isn't there."""

    signature = Signature.of(task)
    assert signature.decode(signature.encode([[1]], {}, LIMIT)) == ([[1]], {})


def test_annotations_that_msgspec_cannot_build_count_as_none() -> None:
    def task(a: dict[str, int] | dict[int, str]) -> None:
        """Ask for too much."""

    signature = Signature.of(task)
    assert signature.decode(signature.encode([{"a": [1]}], {}, LIMIT)) == ([{"a": [1]}], {})


@pytest.mark.parametrize(
    "value", [[], {}, None, True, 2**60, 2**64 - 1, -(2**63), 0.1 + 0.2, 5e-324, "\x00", "é💥", {"": [[]]}]
)
def test_plain_values_round_trip_exactly(value: Any) -> None:
    args, _ = payload.read(payload.encode_untyped([value], {}, LIMIT))
    assert args == [value]
    assert type(args[0]) is type(value)


def test_an_integer_too_long_for_any_reader_is_refused() -> None:
    with pytest.raises(NotSerializable):
        payload.encode_untyped([10**5_000], {}, LIMIT)


def test_arguments_over_the_limit_are_refused_with_both_figures() -> None:
    with pytest.raises(PayloadTooLarge, match="the arguments would take 1,007 bytes as JSON, over the limit of 1,000"):
        payload.encode_untyped(["x" * 998], {}, 1_000)
    assert len(payload.encode_untyped(["x" * 991], {}, 1_000)) == 1_000


# --- what is no argument ------------------------------------------------------------------------


def test_a_copy_is_held_to_the_strict_rule_and_to_the_limit_under_its_own_name() -> None:
    value = {"a": [1, None]}
    copy = payload.copy_untyped(value, LIMIT, "the metadata")
    assert copy == value
    assert copy is not value
    with pytest.raises(NotSerializable, match=r"^the metadata can't be stored: JSON would turn"):
        payload.copy_untyped({"a": (1,)}, LIMIT, "the metadata")
    with pytest.raises(NotSerializable, match=r"^the metadata can't be stored"):
        payload.copy_untyped({"a": object()}, LIMIT, "the metadata")
    with pytest.raises(PayloadTooLarge, match=r"^the metadata would take 16 bytes"):
        payload.copy_untyped({"a": "x" * 8}, 15, "the metadata")


# --- results ------------------------------------------------------------------------------------


def test_a_result_comes_back_as_its_annotation() -> None:
    data = SEND.result.encode_result((1, 2), LIMIT)
    assert data == b"[1,2]"
    assert SEND.result.decode_result(data) == (1, 2)


def test_no_result_is_null_whatever_the_annotation() -> None:
    assert SEND.result.encode_result(None, LIMIT) == b"null"
    assert Codec().decode_result(None) is None


def test_a_result_that_json_would_change_is_refused() -> None:
    with pytest.raises(NotSerializable, match="the result can't be stored"):
        Codec().encode_result((1, 2), LIMIT)
    with pytest.raises(NotSerializable, match="the result can't be stored"):
        SEND.result.encode_result(("one",), LIMIT)


def test_a_result_over_the_limit_is_refused() -> None:
    with pytest.raises(PayloadTooLarge, match="the result"):
        Codec().encode_result("x" * 9, 10)
    assert Codec().encode_result("x" * 8, 10) == b'"xxxxxxxx"'


# --- sameness -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (True, 1),
        ([1], (1,)),
        ([1], [1, 2]),
        ({"a": 1}, {"a": True}),
        ({1: 0}, {"1": 0}),
        ({"a": 1}, {}),
        (nan, nan),
    ],
)
def test_sameness_is_of_value_and_type(left: object, right: object) -> None:
    assert not same(left, right)
    assert not same([left], [right])
