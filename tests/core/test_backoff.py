"""Backoff by example."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan
from typing import Any

import pytest

from trioq._core import backoff
from trioq._core.backoff import Backoff, Exponential, Fixed, Linear, Steps


def waits(policy: Backoff, failures: int, roll: float = 0.0) -> list[float]:
    return [policy.delay(n, roll) for n in range(1, failures + 1)]


def test_exponential_doubles_until_max_delay() -> None:
    assert waits(Exponential(base=1, factor=2, max_delay=10, jitter=0.1), 6) == [1, 2, 4, 8, 10, 10]


def test_the_roll_takes_its_part_of_the_jitter_off_the_wait() -> None:
    assert Exponential(base=100, factor=2, max_delay=300, jitter=0.1).delay(1, 0.5) == 95
    assert Linear(base=100, max_delay=300, jitter=1.0).delay(1, 0.25) == 75


def test_jitter_shortens_the_longest_wait_too() -> None:
    assert Exponential(max_delay=300, jitter=0.1).delay(10**6, 0.5) == 285


def test_linear_adds_its_base_each_time() -> None:
    assert waits(Linear(base=5, max_delay=12), 4) == [5, 10, 12, 12]


def test_fixed_stays() -> None:
    assert waits(Fixed(7), 3, roll=0.9) == [7, 7, 7]


def test_steps_repeat_the_last() -> None:
    assert waits(Steps([1, 10, 60]), 5) == [1, 10, 60, 60, 60]


def test_steps_need_one() -> None:
    with pytest.raises(ValueError, match="delays"):
        Steps([])


def test_the_millionth_failure_overflows_nothing() -> None:
    assert Exponential(base=1e300, factor=1e300, max_delay=300, jitter=0).delay(10**6, 0) == 300
    assert Exponential(base=0, factor=1e300).delay(10**6, 0) == 0


def test_a_shrinking_exponential_shrinks_to_nothing() -> None:
    assert waits(Exponential(base=8, factor=0.5, jitter=0), 4) == [8, 4, 2, 1]
    assert Exponential(base=8, factor=0, jitter=0).delay(2, 0) == 0


def test_the_wire_form_is_flat_and_names_its_kind() -> None:
    assert backoff.to_wire(Exponential()) == {
        "kind": "exponential",
        "base": 1.0,
        "factor": 2.0,
        "max_delay": 300.0,
        "jitter": 0.1,
    }
    assert backoff.to_wire(Steps([1, 2])) == {"kind": "steps", "delays": (1, 2)}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "random"},
        {"kind": ["fixed"]},
        {"kind": {}},
        {"kind": "fixed"},
        {"kind": "fixed", "seconds": -1},
        {"kind": "fixed", "seconds": "1"},
        {"kind": "fixed", "seconds": 1, "more": 2},
        {"kind": "steps", "delays": 5},
        {"kind": "steps", "delays": [[1]]},
        [1],
        "fixed",
        None,
    ],
)
def test_what_is_no_policy_is_a_value_error(data: object) -> None:
    with pytest.raises(ValueError, match=r"policy|number of seconds"):
        backoff.from_wire(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("wait", [-1, nan, inf, 10**400, Decimal(1), True, "1", [1], None])
def test_a_wait_is_a_real_and_finite_number(wait: Any) -> None:
    for make in (Fixed, Linear, Exponential, lambda wait: Exponential(factor=wait), lambda wait: Steps([1, wait])):
        with pytest.raises(ValueError, match="is a number of seconds, 0 or more, not"):
            make(wait)


@pytest.mark.parametrize("share", [-0.1, 1.1, nan, 10**400, Decimal(1), True, "1", None])
def test_jitter_is_a_real_share(share: Any) -> None:
    with pytest.raises(ValueError, match="jitter is a share from 0 to 1, not"):
        Exponential(jitter=share)


def test_whole_seconds_are_kept_as_floats() -> None:
    policy = Steps([1, 2])
    assert [type(wait) for wait in (*policy.delays, Fixed(1).seconds, Linear(jitter=1).jitter)] == [float] * 4
