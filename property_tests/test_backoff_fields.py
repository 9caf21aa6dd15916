"""What a policy may be made of, its defaults, and how it is written.  How long it waits is in ``test_backoff``."""

from __future__ import annotations

from itertools import product
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from property_tests import strategies as sts
from trioq._core import backoff as policies
from trioq._core.backoff import Backoff, Exponential, Fixed, Linear, Steps, check_seconds

#: Each field, and how to make a policy with this value in it.
SECONDS = {
    "seconds": [Fixed],
    "base": [lambda it: Linear(base=it), lambda it: Exponential(base=it)],
    "factor": [lambda it: Exponential(factor=it)],
    "max_delay": [lambda it: Linear(max_delay=it), lambda it: Exponential(max_delay=it)],
    "delays": [lambda it: Steps([it]), lambda it: Steps([1, it, 2])],
}
SHARES = [lambda it: Linear(jitter=it), lambda it: Exponential(jitter=it)]
MOST = 1.7976931348623157e308  # the largest float

NO_NUMBERS = (None, True, False, "1", b"1", [1], 1j, float("nan"))
NO_SECONDS = (*NO_NUMBERS, float("inf"), -1.0, -5e-324, int(MOST) + 1, -(10**400))
NO_SHARES = (*NO_NUMBERS, float("inf"), 2.0, 1.0000000000000002, -1.0, -5e-324, 10**400)


def made(seconds: Any, share: Any) -> list[Backoff]:
    return [
        Fixed(seconds),
        Linear(base=seconds, max_delay=seconds, jitter=share),
        Exponential(base=seconds, factor=seconds, max_delay=seconds, jitter=share),
        Steps([seconds, seconds]),
    ]


@given(value=st.integers(0, 10**6) | st.floats(0, allow_infinity=False))
def test_seconds_are_any_finite_number_from_0_on(value: float) -> None:
    """A number of seconds is an int or a float, from 0 to the largest float, and is answered as a float."""
    for each in (value, 0, MOST, int(MOST)):
        assert check_seconds("wait", each) == each
        assert type(check_seconds("wait", each)) is float


def test_what_is_no_number_of_seconds_is_refused_by_its_name() -> None:
    """Anything else is a ``ValueError`` that says what it was meant to be, and what it is: None, a bool, text, NaN, an
    infinite or a negative number, or an int past the largest float.
    """
    for value in NO_SECONDS:
        with pytest.raises(ValueError, match=r"^wait is a number of seconds, 0 or more, not ") as caught:
            check_seconds("wait", value)
        assert str(caught.value).endswith(f"not {value!r}")


@given(number=st.integers(0, 10**6))
def test_whole_numbers_make_the_same_policy_as_floats(number: int) -> None:
    """A policy made of ints equals the one made of floats, and holds floats: both have the same wire form."""
    for whole, share in product((number, 0, int(MOST)), (0, 1)):
        assert made(whole, share) == made(float(whole), float(share))
        for policy in made(whole, share):
            values = policy.delays if isinstance(policy, Steps) else attrs.astuple(policy)
            assert {type(value) for value in values} == {float}


def test_a_field_that_cannot_be_is_named() -> None:
    """A policy refuses what is no number of seconds with a ``ValueError`` that names the field and the value."""
    for field, value in product(SECONDS, NO_SECONDS):
        for make in SECONDS[field]:
            with pytest.raises(ValueError, match=rf"^{field} is a number of seconds, 0 or more, not ") as caught:
                make(value)
            assert str(caught.value).endswith(f"not {value!r}")


def test_a_jitter_that_cannot_be_is_named() -> None:
    """A policy refuses a jitter that is no number from 0 to 1 with a ``ValueError`` that says so, and what it is."""
    for make, value in product(SHARES, NO_SHARES):
        with pytest.raises(ValueError, match=r"^jitter is a share from 0 to 1, not ") as caught:
            make(value)
        assert str(caught.value).endswith(f"not {value!r}")


def test_steps_are_one_wait_at_least() -> None:
    """``Steps`` without a wait are refused, and one wait is enough."""
    with pytest.raises(ValueError, match="delays"):
        Steps([])
    assert Steps([3]).delay(1, 0.0) == 3


def test_the_defaults_are_those_in_the_documentation() -> None:
    """By default ``Linear`` waits 1 second more each time, up to 300, without jitter; ``Exponential`` waits 1 second,
    then twice as long each time, up to 300, less a tenth at most.
    """
    assert Linear() == Linear(1.0, 300.0, 0.0)
    assert [Linear().delay(n, 0.5) for n in (1, 2, 300, 301)] == [1, 2, 300, 300]
    assert Exponential() == Exponential(1.0, 2.0, 300.0, 0.1)
    assert [Exponential().delay(n, 0.0) for n in (1, 2, 9, 10)] == [1, 2, 256, 300]
    assert Exponential().delay(1, 0.5) == 0.95


@given(seconds=st.floats(0, allow_infinity=False), share=st.floats(0, 1))
def test_a_wire_form_has_these_names(seconds: float, share: float) -> None:
    """The wire form of a policy is its kind and its fields, by the names that older records have."""
    fixed, linear, exponential, steps = map(policies.to_wire, made(seconds, share))
    assert fixed == {"kind": "fixed", "seconds": seconds}
    assert linear == {"kind": "linear", "base": seconds, "max_delay": seconds, "jitter": share}
    assert exponential == {
        "kind": "exponential",
        "base": seconds,
        "factor": seconds,
        "max_delay": seconds,
        "jitter": share,
    }
    assert steps == {"kind": "steps", "delays": (seconds, seconds)}


@given(
    data=st.sampled_from([None, 7, [], "fixed", {}, {"kind": "random"}, {"kind": "fixed"}, {"seconds": 1}])
    | st.builds(dict, kind=st.just("fixed"), seconds=st.builds(dict), more=sts.json_values)
    | st.builds(dict, kind=st.just("fixed"), seconds=st.just(1), more=st.text(min_size=300, max_size=400))
)
def test_what_is_no_policy_is_said_in_short(data: Any) -> None:
    """What is no policy is refused with a ``ValueError`` that shows it, in 200 characters at most."""
    with pytest.raises(ValueError, match=r"^not a backoff policy: ") as caught:
        policies.from_wire(data)
    assert str(caught.value) == f"not a backoff policy: {repr(data)[:200]}"
