"""What is sent in one piece is never too much, unless one item is."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trioq._core.batches import batches


@given(st.lists(st.integers(0, 12)), st.integers(1, 5), st.integers(0, 20))
def test_portions_are_within_both_limits_full_and_in_order(weights: list[int], most: int, most_bytes: int) -> None:
    found = list(batches(weights, int, most=most, most_bytes=most_bytes))
    assert [weight for portion in found for weight in portion] == weights
    assert all(len(portion) <= most for portion in found)
    assert all(sum(portion) <= most_bytes or len(portion) == 1 for portion in found)
    for portion, after in pairwise(found):
        assert len(portion) == most or sum(portion) + after[0] > most_bytes
