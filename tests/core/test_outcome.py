"""Signals, and what leaves a handler, by example."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan
from typing import Any

import pytest
import trio

from trioq._core.outcome import (
    MAX_ERROR_BYTES,
    Outcome,
    Raised,
    Reject,
    Rejected,
    Retry,
    RetryAsked,
    Signal,
    Snooze,
    Snoozed,
    cut,
    error_text,
    outcome_of,
)


def meaning(error: BaseException) -> Outcome:
    return outcome_of(error, trio.Cancelled)


async def a_cancellation() -> trio.Cancelled:
    """One as Trio raises it."""
    caught: list[trio.Cancelled] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as cancelled:
            caught.append(cancelled)
            raise
    return caught[0]


# --- what it means ------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("bye"), GeneratorExit("gone")])
def test_an_error_is_a_raised_and_so_is_every_other_base_exception(error: BaseException) -> None:
    outcome = meaning(error)
    assert isinstance(outcome, Raised)
    assert outcome.error.endswith(f"{type(error).__name__}: {error}")


def test_a_signal_says_how_the_run_ended() -> None:
    retry = meaning(Retry(after=5))
    assert isinstance(retry, RetryAsked)
    assert retry.after == 5
    assert meaning(Snooze(60)) == Snoozed(60)
    assert isinstance(meaning(Reject("bad address")), Rejected)


def test_a_reject_ends_with_its_reason() -> None:
    outcome = meaning(Reject("bad address"))
    assert isinstance(outcome, Rejected)
    assert outcome.error.endswith("Reject: bad address")


async def test_a_signal_is_found_where_a_nursery_raised_it() -> None:
    async def snooze() -> None:
        raise Snooze(60)

    with pytest.raises(BaseExceptionGroup) as caught:
        async with trio.open_nursery() as outer:
            outer.start_soon(trio.sleep_forever)
            async with trio.open_nursery() as inner:
                inner.start_soon(snooze)
    assert meaning(caught.value) == Snoozed(60)


async def test_cancelled_siblings_do_not_hide_a_signal() -> None:
    cancelled = await a_cancellation()
    outcome = meaning(BaseExceptionGroup("", [cancelled, BaseExceptionGroup("", [cancelled, Retry(after=5)])]))
    assert isinstance(outcome, RetryAsked)
    assert outcome.after == 5


async def test_a_cancellation_alone_is_no_signal() -> None:
    assert isinstance(meaning(await a_cancellation()), Raised)


def test_another_error_beside_a_retry_or_a_snooze_is_a_raised() -> None:
    assert isinstance(meaning(ExceptionGroup("", [Retry(after=5), ValueError("no")])), Raised)
    assert isinstance(meaning(ExceptionGroup("", [Snooze(5), ValueError("no")])), Raised)


def test_a_reject_decides_whatever_stands_beside_it() -> None:
    group = ExceptionGroup("", [Retry(), ExceptionGroup("", [ValueError("no"), Reject("bad address")])])
    assert isinstance(meaning(group), Rejected)


def test_a_retry_comes_before_a_snooze() -> None:
    assert isinstance(meaning(ExceptionGroup("", [Snooze(5), Retry()])), RetryAsked)


# --- signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", [-1, nan, inf, 10**400, Decimal(1), True, "1", [], None])
def test_a_signal_refuses_a_wait_that_is_none(wait: Any) -> None:
    if wait is not None:
        with pytest.raises(ValueError, match="Retry"):
            Retry(after=wait)
    with pytest.raises(ValueError, match="Snooze"):
        Snooze(wait)


def test_a_signal_says_what_it_asks_for() -> None:
    assert str(Snooze(90)) == "the handler put the job off for 90 s"
    assert str(Retry()) == "the handler asked for a retry"
    assert isinstance(Reject(), Signal)


# --- texts --------------------------------------------------------------------------------------


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_an_error_text_is_the_traceback() -> None:
    text = error_text(raised(ValueError("no")))
    assert text.startswith("Traceback (most recent call last):")
    assert "in raised" in text
    assert text.endswith("\nValueError: no")
    assert text.count("ValueError: no") == 1


def test_notes_stay_in_the_trace_and_the_last_line_is_the_error() -> None:
    error = raised(ValueError("no"))
    error.add_note("while reading row 7")
    lines = error_text(error).splitlines()
    assert "while reading row 7" in lines
    assert lines[-1] == "ValueError: no"


def test_a_message_of_several_lines_ends_the_text_as_one() -> None:
    assert error_text(ValueError("first\nsecond")).splitlines()[-1] == "ValueError: first second"


def test_a_group_of_one_is_told_by_what_is_in_it() -> None:
    assert error_text(ExceptionGroup("outer", [ExceptionGroup("inner", [KeyError("k")])])).endswith("\nKeyError: 'k'")


def test_a_cause_is_told_first() -> None:
    try:
        raise RuntimeError("wrapped") from ValueError("the cause")
    except RuntimeError as error:
        text = error_text(error)
    assert text.index("ValueError: the cause") < text.index("direct cause") < text.index("RuntimeError: wrapped")


def test_an_error_that_cannot_be_printed_is_told_by_its_type() -> None:
    class Shy(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert error_text(Shy()).splitlines()[-1].endswith("Shy: <exception str() failed>")


def test_a_long_text_loses_its_middle_and_keeps_its_last_line() -> None:
    error = ValueError("no")
    error.add_note("x" * 2 * MAX_ERROR_BYTES)
    text = error_text(raised(error))
    assert MAX_ERROR_BYTES - 16 < len(text.encode()) <= MAX_ERROR_BYTES
    assert text.startswith("Traceback")
    assert "\n[...]\n" in text
    assert text.endswith("\nValueError: no")


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    last = error_text(ValueError("begin" + "é" * MAX_ERROR_BYTES + "end")).splitlines()[-1]
    assert last.startswith("ValueError: begin")
    assert last.endswith("end")


def test_a_lone_surrogate_in_a_message_is_no_trouble() -> None:
    assert error_text(ValueError("\ud800")).splitlines()[-1] == "ValueError: ?"


@pytest.mark.parametrize(
    ("text", "limit", "found"),
    [
        ("short", 5, "short"),
        ("0123456789abcdefghij", 11, "01\n[...]\nij"),
        ("é" * 10, 11, "é\n[...]\né"),
        ("abc", 0, ""),
    ],
)
def test_a_cut_counts_bytes_and_breaks_no_character(text: str, limit: int, found: str) -> None:
    assert cut(text, limit) == found
