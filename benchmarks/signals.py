"""A signal that ends ``python -m benchmarks`` unwinds it: each block that has started something ends that."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def unwind_when_told_to_end() -> None:
    """From now on these signals are a `SystemExit`, with the code that a shell gives for them."""
    for number in _SIGNALS:
        signal.signal(number, _unwind)


def _unwind(number: int, _frame: Any) -> None:
    sys.exit(128 + number)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that come wait for the end of the block: what starts something has noted then how it ends."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)
