"""The rate bucket: how many may start now, and when the next may.  It never waits; callers pass the time."""

from __future__ import annotations

from collections import deque
from math import inf
from sys import float_info
from typing import Any

import attrs


def _starts(_: object, field: attrs.Attribute[int], value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"a rate's {field.name} is a whole number of starts, 1 or more, not {value!r}")


def _span(_: object, field: attrs.Attribute[float], value: Any) -> None:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not real or not 0 < value <= float_info.max:
        raise ValueError(f"a rate's {field.name} is a number of seconds, above 0, not {value!r}")


@attrs.define
class Bucket:
    """``limit`` tokens, each coming back ``interval`` seconds after it was spent.

    So no window of ``interval`` seconds ever holds more than ``limit`` starts, unlike with a counter that is
    reset, or a bucket that refills evenly.  A token is taken first, and dated when its start really happens;
    one whose start never happens is refunded.

    Invariant: held + dated <= limit.
    """

    limit: int = attrs.field(validator=_starts)
    interval: float = attrs.field(default=1.0, validator=_span)
    held: int = attrs.field(default=0, init=False)  #: taken, and neither dated nor refunded yet
    _spent: deque[float] = attrs.field(factory=deque, init=False)

    def available(self, now: float) -> int:
        """How many tokens can be taken at *now*."""
        while self._spent and self._spent[0] + self.interval <= now:
            self._spent.popleft()
        return self.limit - self.held - len(self._spent)

    def take(self, wanted: int, now: float) -> int:
        """Take up to *wanted* tokens; returns how many."""
        taken = max(0, min(wanted, self.available(now)))
        self.held += taken
        return taken

    def spend(self, now: float) -> None:
        """Date a taken token: its start happens now."""
        self.refund()
        self._spent.append(max(now, self._spent[-1]) if self._spent else now)

    def refund(self, count: int = 1) -> None:
        """Give taken tokens back unspent.  ValueError for more tokens than are held."""
        if not 0 <= count <= self.held:
            raise ValueError(f"{count} tokens can't come back: {self.held} are held. Take a token before each start")
        self.held -= count

    def unspend(self) -> None:
        """Undo a `spend` of the last ``interval`` seconds: its start did not happen after all."""
        if self._spent:
            # The oldest date goes, whichever start it was: to drop a later one could forget a start that happened.
            self._spent.popleft()

    def next_at(self, now: float) -> float:
        """When a token can be taken at the latest; inf while all of them are held."""
        if self.available(now):
            return now
        return self._spent[0] + self.interval if self._spent else inf
