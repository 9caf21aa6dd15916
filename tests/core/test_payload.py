"""The codec of arguments and results by example."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import nan
from typing import Any

import pytest

from trioq._core import payload
from trioq._core.errors import NotSerializable, PayloadTooLarge
from trioq._core.payload import NO_ARGUMENTS, Codec, Signature

LIMIT = 2**20


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
    with pytest.raises(PayloadTooLarge, match="the arguments take 1,007 bytes as JSON, over the limit of 1,000"):
        payload.encode_untyped(["x" * 998], {}, 1_000)
    assert len(payload.encode_untyped(["x" * 991], {}, 1_000)) == 1_000


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
    assert not payload.same(left, right)
    assert not payload.same([left], [right])
