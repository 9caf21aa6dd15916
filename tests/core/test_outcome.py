"""Signals, and what leaves a handler, by example."""

from __future__ import annotations

from math import inf, nan

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
    Snooze,
    Snoozed,
    cut,
    error_text,
    outcome_of,
)


def meaning(error: BaseException) -> Outcome:
    return outcome_of(error, trio.Cancelled)


def cancelled() -> trio.Cancelled:
    """One as Trio raises it."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            pass
    return trio.Cancelled._create(source="explicit")


def test_an_error_is_a_raised() -> None:
    assert meaning(ValueError("no")) == Raised("ValueError: no") or isinstance(meaning(ValueError("no")), Raised)


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), KeyError("k")])
def test_every_other_base_exception_is_a_raised(error: BaseException) -> None:
    outcome = meaning(error)
    assert isinstance(outcome, Raised)
    assert outcome.error.endswith(type(error).__name__ + (f": {error}" if error.args else ""))
