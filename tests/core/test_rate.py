"""The rate bucket by example."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from trioq._core.rate import Bucket


def spent(bucket: Bucket, count: int, now: float) -> None:
    assert bucket.take(count, now) == count
    for _ in range(count):
        bucket.spend(now)


def test_a_burst_of_the_limit_then_nothing_until_the_first_comes_back() -> None:
    bucket = Bucket(limit=3, interval=10.0)
    spent(bucket, 2, now=0.0)
    spent(bucket, 1, now=4.0)
    assert bucket.take(1, now=9.999) == 0
    assert bucket.take(3, now=10.0) == 2
    assert bucket.next_at(10.0) == 14.0


def test_a_burst_at_the_end_of_an_interval_does_not_meet_one_at_the_beginning_of_the_next() -> None:
    bucket = Bucket(limit=5, interval=1.0)
    spent(bucket, 5, now=0.99)
    assert bucket.take(5, now=1.01) == 0


def test_a_held_token_is_given_to_no_other_start() -> None:
    bucket = Bucket(limit=2)
    assert bucket.take(5, now=0.0) == 2
    assert bucket.take(1, now=100.0) == 0
    assert bucket.next_at(100.0) == inf


def test_a_refunded_token_can_be_taken_at_once() -> None:
    bucket = Bucket(limit=2)
    bucket.take(2, now=0.0)
    bucket.refund(2)
    assert bucket.available(0.0) == 2


def test_a_token_is_dated_when_its_start_happens() -> None:
    bucket = Bucket(limit=1, interval=1.0)
    bucket.take(1, now=0.0)
    bucket.spend(5.0)
    assert bucket.next_at(5.0) == 6.0


def test_a_token_that_was_not_taken_can_neither_be_spent_nor_refunded() -> None:
    bucket = Bucket(limit=2)
    with pytest.raises(ValueError, match="0 are held"):
        bucket.spend(0.0)
    bucket.take(1, now=0.0)
    with pytest.raises(ValueError, match="2 tokens can't come back: 1 are held"):
        bucket.refund(2)
    assert bucket.available(0.0) == 1


def test_to_want_less_than_nothing_takes_nothing() -> None:
    bucket = Bucket(limit=2)
    assert bucket.take(-3, now=0.0) == 0
    assert bucket.available(0.0) == 2


def test_an_undone_start_gives_its_token_back() -> None:
    bucket = Bucket(limit=1, interval=1.0)
    spent(bucket, 1, now=0.0)
    bucket.unspend()
    assert bucket.take(1, now=0.5) == 1


def test_undoing_an_earlier_start_does_not_forget_a_later_one() -> None:
    bucket = Bucket(limit=2, interval=10.0)
    spent(bucket, 1, now=0.0)
    spent(bucket, 1, now=5.0)
    bucket.unspend()
    assert bucket.available(14.0) == 1
    assert bucket.available(15.0) == 2


def test_undoing_where_nothing_was_spent_mints_nothing() -> None:
    bucket = Bucket(limit=1)
    bucket.unspend()
    assert bucket.available(0.0) == 1


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, 2.0, "3", None])
def test_a_limit_is_a_whole_number_of_starts(limit: Any) -> None:
    with pytest.raises(ValueError, match="a rate's limit is a whole number of starts, 1 or more, not"):
        Bucket(limit)


@pytest.mark.parametrize("interval", [0.0, -1.0, inf, nan, 10**400, True, "1", None])
def test_an_interval_is_a_finite_time_above_zero(interval: Any) -> None:
    with pytest.raises(ValueError, match="a rate's interval is a number of seconds, above 0, not"):
        Bucket(1, interval)
