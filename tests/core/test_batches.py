"""What is sent in one piece is never too much, unless one item is."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trioq._core.batches import WANTED, NextBatch, batches


@given(st.lists(st.integers(0, 12)), st.integers(1, 5), st.integers(0, 20))
def test_portions_are_within_both_limits_full_and_in_order(weights: list[int], most: int, most_bytes: int) -> None:
    found = list(batches(weights, int, most=most, most_bytes=most_bytes))
    assert [weight for portion in found for weight in portion] == weights
    assert all(len(portion) <= most for portion in found)
    assert all(sum(portion) <= most_bytes or len(portion) == 1 for portion in found)
    for portion, after in pairwise(found):
        assert len(portion) == most or sum(portion) + after[0] > most_bytes


@given(st.integers(1, 1000), st.integers(1, 2 * WANTED), st.integers(0, 30))
def test_the_next_batch_comes_to_fit_whatever_its_items_weigh(first: int, weight: int, failures: int) -> None:
    batch = NextBatch(first, most=1000)
    for _ in range(failures):
        batch.note_failure(batch.count)
        assert batch.count >= 1
    for _ in range(12):
        batch.note_answer(batch.count, batch.count * weight)
    assert batch.count == max(1, min(1000, WANTED // weight))


def test_an_answer_without_items_says_nothing_and_none_lets_the_next_grow_by_more_than_twice() -> None:
    batch = NextBatch(8, most=1000)
    batch.note_answer(0, 0)
    assert batch.count == 8
    batch.note_answer(8, 1)
    assert batch.count == 16
