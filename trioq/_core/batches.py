"""What is sent in one piece: as many items, and as many bytes, as one write takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], weigh: Callable[[T], int], *, most: int, most_bytes: int) -> Iterator[list[T]]:
    """The items in their order, in lists that are full; one that is too heavy goes alone, however heavy it is."""
    portion: list[T] = []
    size = 0
    for item in items:
        weight = weigh(item)
        if portion and (len(portion) == most or size + weight > most_bytes):
            yield portion
            portion, size = [], 0
        portion.append(item)
        size += weight
    if portion:
        yield portion
