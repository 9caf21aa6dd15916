"""How long a job waits after its n-th failure."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from property_tests import strategies as sts
from trioq._core import backoff as policies
from trioq._core.backoff import Backoff, Exponential, Fixed, Linear, Steps

failures = st.integers(1, 100) | st.sampled_from([1_000, 10**6])
seconds = st.floats(0, 1e6)
shares = st.floats(0, 1)


def longest(policy: Backoff) -> float:
    """The wait that no failure may exceed."""
    match policy:
        case Fixed(wait):
            return wait
        case Steps(waits):
            return max(waits)
        case Linear(max_delay=most) | Exponential(max_delay=most):
            return most


@given(policy=sts.backoffs, n=failures, roll=sts.rolls)
def test_a_wait_is_never_negative_and_never_past_max_delay(policy: Backoff, n: int, roll: float) -> None:
    """Whatever the policy, the number of failures, up to a million, and the dice, a wait is never negative, never
    longer than the policy's longest one, and never overflows.
    """
    assert 0 <= policy.delay(n, roll) <= longest(policy)


@given(base=seconds, step=seconds, factor=st.floats(1, 100), most=seconds, n=failures, roll=sts.rolls)
def test_without_jitter_waits_never_shrink(
    base: float, step: float, factor: float, most: float, n: int, roll: float
) -> None:
    """Without jitter, and with a factor of 1 or more, one failure more never means a shorter wait."""
    for policy in (Linear(step, most), Exponential(base, factor, most, jitter=0.0), Fixed(base)):
        assert policy.delay(n, roll) <= policy.delay(n + 1, roll)


@given(
    base=st.integers(0, 50),
    factor=st.integers(0, 20).map(lambda quarters: quarters / 4),
    most=st.integers(0, 10**6),
    n=st.integers(1, 60),
    roll=sts.rolls,
)
def test_exponential_is_the_formula(base: int, factor: float, most: int, n: int, roll: float) -> None:
    """Without jitter ``Exponential`` waits ``min(max_delay, base * factor ** (n - 1))`` after the n-th failure."""
    exact = min(Fraction(most), base * Fraction(factor) ** (n - 1))
    found = Exponential(base=base, factor=factor, max_delay=most, jitter=0.0).delay(n, roll)
    assert found == pytest.approx(float(exact), rel=1e-9, abs=1e-9)


@given(factor=st.floats(0, allow_infinity=False), most=seconds, n=failures, roll=sts.rolls)
def test_nothing_grows_to_nothing(factor: float, most: float, n: int, roll: float) -> None:
    """An ``Exponential`` with a base of 0 never waits, not even where the power of its factor is past every float."""
    assert Exponential(base=0, factor=factor, max_delay=most).delay(n, roll) == 0


@given(base=seconds, most=seconds, n=failures, roll=sts.rolls)
def test_linear_is_base_more_each_time(base: float, most: float, n: int, roll: float) -> None:
    """Without jitter ``Linear`` waits ``min(max_delay, base * n)`` after the n-th failure."""
    assert Linear(base=base, max_delay=most).delay(n, roll) == min(most, base * n)


@given(waits=st.lists(seconds, min_size=1, max_size=5), n=failures, roll=sts.rolls)
def test_steps_go_in_turn_and_the_last_one_repeats(waits: list[float], n: int, roll: float) -> None:
    """``Steps`` waits its n-th delay after the n-th failure, and its last one after all later failures."""
    assert Steps(waits).delay(n, roll) == (waits[n - 1] if n <= len(waits) else waits[-1])


@given(wait=seconds, n=failures, roll=sts.rolls)
def test_fixed_is_always_the_same(wait: float, n: int, roll: float) -> None:
    """``Fixed`` waits the same after every failure."""
    assert Fixed(wait).delay(n, roll) == wait


@given(base=seconds, factor=st.floats(0, 5), most=seconds, jitter=shares, n=failures, roll=sts.rolls, higher=sts.rolls)
def test_jitter_only_shortens_and_by_its_share_at_most(
    base: float, factor: float, most: float, jitter: float, n: int, roll: float, higher: float
) -> None:
    """Jitter takes the share ``jitter * roll`` off the full wait: it never makes a wait longer, and a higher roll never
    does either.
    """
    for full, policy in (
        (Exponential(base, factor, most, 0.0), Exponential(base, factor, most, jitter)),
        (Linear(base, most, 0.0), Linear(base, most, jitter)),
    ):
        whole = full.delay(n, roll)
        assert policy.delay(n, 0.0) == whole
        assert whole * (1 - jitter) <= policy.delay(n, roll) <= whole
        assert policy.delay(n, roll) == pytest.approx(whole - whole * jitter * roll, abs=max(whole * 1e-9, 1e-300))
        assert policy.delay(n, max(roll, higher)) <= policy.delay(n, roll)


@given(policy=sts.backoffs)
def test_a_policy_survives_its_wire_form(policy: Backoff) -> None:
    """A policy that is written to its wire form is read back equal and of the same kind, also where JSON has made lists
    of its tuples.
    """
    wire = policies.to_wire(policy)
    back = policies.from_wire({name: list(v) if isinstance(v, tuple) else v for name, v in wire.items()})
    assert type(back) is type(policy)
    assert back == policies.from_wire(wire) == policy


@given(
    data=sts.json_values
    | st.dictionaries(
        st.sampled_from(["kind", "seconds", "base", "factor", "max_delay", "jitter", "delays"]),
        st.sampled_from(["fixed", "linear", "exponential", "steps"]) | sts.json_values,
    )
)
def test_what_is_no_policy_is_a_value_error(data: Any) -> None:
    """Whatever a record holds in the place of a policy, reading it gives a policy or raises ``ValueError``."""
    try:
        policy = policies.from_wire(data)
    except ValueError:
        return
    assert policies.from_wire(policies.to_wire(policy)) == policy


@given(bad=st.floats(max_value=-1e-300) | st.sampled_from([float("nan"), float("inf"), -1, 10**400]))
def test_a_policy_cannot_hold_a_wait_that_is_none(bad: float) -> None:
    """A negative, infinite or NaN wait, or one that is past every float, is refused when the policy is made."""
    for make in (
        lambda: Fixed(bad),
        lambda: Linear(base=bad),
        lambda: Linear(max_delay=bad),
        lambda: Exponential(base=bad),
        lambda: Exponential(factor=bad),
        lambda: Exponential(max_delay=bad),
        lambda: Steps([1, bad]),
    ):
        with pytest.raises(ValueError, match="number of seconds"):
            make()


@given(bad=st.floats(max_value=-1e-300) | st.floats(min_value=1, exclude_min=True) | st.just(float("nan")))
def test_jitter_is_a_share(bad: float) -> None:
    """A jitter outside [0, 1] is refused when the policy is made: past 1 it would make a wait negative."""
    for make in (lambda: Exponential(jitter=bad), lambda: Linear(jitter=bad)):
        with pytest.raises(ValueError, match="share from 0 to 1"):
            make()
