"""The rate bucket: never more than ``limit`` starts in any window of ``interval``, and no fewer than it can be."""

from __future__ import annotations

from collections import Counter
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from property_tests import strategies as sts
from trioq._core.rate import Bucket

limits = st.integers(1, 6)
intervals = st.integers(1, 640).map(lambda ticks: ticks * sts.TICK)
#: What a worker does with the bucket, and how long it takes to do so.
programs = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "start", "start", "refund", "undo"]), st.integers(-1, 8), sts.durations(5.0)
    ),
    max_size=60,
)


def run(bucket: Bucket, program: list[tuple[str, int, float]]) -> list[float]:
    """Do as the program says, as a careful caller would; the answer is when starts happened."""
    now, in_hand, starts = 0.0, 0, list[float]()
    for verb, count, pause in program:
        now += pause
        if verb == "take":
            taken = bucket.take(count, now)
            assert 0 <= taken <= max(0, count)
            in_hand += taken
        elif verb == "start" and in_hand:
            bucket.spend(now)
            starts.append(now)
            in_hand -= 1
        elif verb == "refund":
            back = min(max(count, 0), in_hand)
            bucket.refund(back)
            in_hand -= back
        elif verb == "undo" and starts and starts[-1] + bucket.interval > now:
            bucket.unspend()
            recent = [at for at in starts if at + bucket.interval > now]
            starts.remove(recent[count % len(recent)])
        assert bucket.held == in_hand
        assert 0 <= bucket.available(now) <= bucket.limit - in_hand
    return starts


@given(limit=limits, interval=intervals, program=programs)
def test_no_window_ever_holds_more_than_the_limit(
    limit: int, interval: float, program: list[tuple[str, int, float]]
) -> None:
    """However tokens are taken, spent, given back and undone, no window ``[t, t + interval)`` holds more than ``limit``
    starts.
    """
    starts = run(Bucket(limit, interval), program)
    for begin in starts:
        assert sum(begin <= at < begin + interval for at in starts) <= limit


@given(limit=limits, interval=intervals, program=programs)
def test_a_start_is_remembered_until_its_interval_is_over(
    limit: int, interval: float, program: list[tuple[str, int, float]]
) -> None:
    """At any time the tokens that are free, those in hand and the starts of the last interval add up to ``limit`` at
    most.
    """
    bucket = Bucket(limit, interval)
    starts = run(bucket, program)
    now = sum(pause for _, _, pause in program)
    for later in sorted({now, *(at + interval - sts.TICK for at in starts), *(at + interval for at in starts)}):
        if later >= now:
            recent = sum(at + interval > later for at in starts)
            assert bucket.available(later) + bucket.held + recent <= limit


@given(limit=limits, interval=intervals, pauses=st.lists(sts.durations(3.0), min_size=1, max_size=6), data=st.data())
def test_undoing_a_start_forgets_no_other(
    limit: int, interval: float, pauses: list[float], data: st.DataObject
) -> None:
    """Undoing one start frees one token at once, and every other start of the last interval still counts."""
    bucket, now, starts = Bucket(limit, interval), 0.0, list[float]()
    for pause in pauses:
        now += pause
        if bucket.take(1, now):
            bucket.spend(now)
            starts.append(now)
    free = bucket.available(now)
    recent = [at for at in starts if at + interval > now]
    if recent:
        starts.remove(data.draw(st.sampled_from(recent)))
        bucket.unspend()
        assert bucket.available(now) == free + 1
        for later in sorted({now, *(at + interval - sts.TICK for at in starts if at in recent)}):
            assert bucket.available(later) <= limit - sum(at + interval > later for at in starts)


@given(limit=limits, interval=intervals, program=programs, later=sts.durations(20.0))
def test_a_refund_mints_nothing(
    limit: int, interval: float, program: list[tuple[str, int, float]], later: float
) -> None:
    """Once all tokens in hand are given back and all starts are past, there are ``limit`` tokens and not one more; who
    holds none can neither give back nor spend one.
    """
    bucket = Bucket(limit, interval)
    run(bucket, program)
    bucket.refund(bucket.held)
    with pytest.raises(ValueError, match="0 are held"):
        bucket.refund()
    with pytest.raises(ValueError, match="0 are held"):
        bucket.spend(0.0)
    end = sum(pause for _, _, pause in program) + interval
    assert bucket.available(end + later) == limit
    assert bucket.take(limit + 1, end + later) == limit


@given(limit=limits, interval=intervals, program=programs)
def test_a_token_given_back_can_be_taken_at_once(
    limit: int, interval: float, program: list[tuple[str, int, float]]
) -> None:
    """A token that was taken and not used can be taken again in the same instant."""
    bucket = Bucket(limit, interval)
    run(bucket, program)
    now = sum(pause for _, _, pause in program)
    free = bucket.available(now)
    taken = bucket.take(limit, now)
    bucket.refund(taken)
    assert taken == free == bucket.available(now)


@given(limit=limits, interval=intervals, program=programs)
def test_next_at_is_exact(limit: int, interval: float, program: list[tuple[str, int, float]]) -> None:
    """The bucket says exactly when the next token can be taken: none can be a tick sooner, and the answer is never only
    while all tokens are in hand.
    """
    bucket = Bucket(limit, interval)
    run(bucket, program)
    now = sum(pause for _, _, pause in program)
    at = bucket.next_at(now)
    assert (at == inf) == (bucket.held == limit)
    assert (at == now) == (bucket.available(now) > 0)
    if now < at < inf:
        assert bucket.available(at - sts.TICK) == 0
        assert bucket.available(at) > 0


@given(limit=limits, interval=intervals, rounds=st.integers(1, 5), greed=st.integers(1, 8))
def test_asked_without_pause_it_admits_exactly_the_limit_each_interval(
    limit: int, interval: float, rounds: int, greed: int
) -> None:
    """A caller that comes back whenever a token is free starts ``limit`` jobs in each interval, and not one fewer."""
    bucket, now, starts = Bucket(limit, interval), 0.0, list[float]()
    while now < rounds * interval:
        for _ in range(bucket.take(greed, now)):
            bucket.spend(now)
            starts.append(now)
        now = bucket.next_at(now)
    assert Counter(int(at // interval) for at in starts) == dict.fromkeys(range(rounds), limit)


@given(limit=limits, interval=intervals, pause=st.floats(0, 1e6), wanted=st.integers(1, 8))
def test_a_token_that_is_held_long_is_dated_when_its_start_happens(
    limit: int, interval: float, pause: float, wanted: int
) -> None:
    """A token comes back ``interval`` after it was spent, however long before that it was taken."""
    bucket = Bucket(limit, interval)
    taken = bucket.take(wanted, 0.0)
    assert taken == min(wanted, limit)
    for _ in range(taken):
        bucket.spend(pause)
    assert bucket.available(pause) == limit - taken
    assert bucket.available(pause + interval) == limit


@given(limit=limits, interval=intervals, back=sts.durations())
def test_a_clock_that_is_set_back_mints_nothing(limit: int, interval: float, back: float) -> None:
    """Where the clock is set back, tokens come back later and never sooner."""
    bucket = Bucket(limit, interval)
    bucket.take(limit, 0.0)
    for turn in range(limit):
        bucket.spend(-back * turn)
    assert bucket.available(interval - sts.TICK) == 0
    assert bucket.available(interval) == limit


@given(limit=st.integers(max_value=0), interval=st.floats(max_value=0.0) | st.just(float("nan")))
def test_a_bucket_has_at_least_one_token_and_an_interval(limit: int, interval: float) -> None:
    """A limit below 1, and an interval that is not above 0, are refused."""
    with pytest.raises(ValueError, match="limit"):
        Bucket(limit)
    with pytest.raises(ValueError, match="interval"):
        Bucket(1, interval)
