"""Batches: as many items, and as many bytes, as one write takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], weigh: Callable[[T], int], *, most: int, most_bytes: int) -> Iterator[list[T]]:
    """Split the items, in their order, into full lists; an item over *most_bytes* goes alone, whatever it weighs."""
    batch: list[T] = []
    size = 0
    for item in items:
        weight = weigh(item)
        if batch and (len(batch) == most or size + weight > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += weight
    if batch:
        yield batch
