"""Batches: as many items, and as many bytes, as one write takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import attrs

T = TypeVar("T")

#: Bytes that an answer is to have, about.
WANTED: Final = 4 * 2**20


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


@attrs.define
class NextBatch:
    """How many items to ask for next, so that an answer is about `WANTED` large, by what the answers before it were.

    A store that is asked for a thousand jobs of a MiB answers too late, and so never.
    """

    count: int  #: of items to ask for next, 1 or more
    most: int  #: that it ever asks for

    def note_answer(self, items: int, size: int) -> None:
        """Note an answer with so many items, of so many bytes in all: the next has as many as fit, or twice as many."""
        if items:
            self.count = max(1, min(self.most, 2 * self.count, WANTED * items // max(size, 1)))

    def note_failure(self, asked: int) -> None:
        """No answer to so many came in time, maybe because it was too large: ask for a quarter."""
        self.count = max(1, min(self.count, asked) // 4)
