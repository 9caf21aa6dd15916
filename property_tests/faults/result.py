"""What came of an experiment, in numbers that can be added up over any number of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import floor, isfinite, log10
from typing import Any, Final, Self

import attrs

#: How many violations are kept in words; all of them are counted.
_KEPT: Final = 5


@attrs.frozen
class Samples:
    """Measured values, rounded to three digits and counted."""

    counts: Counter[float] = attrs.field(factory=Counter)

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """These values."""
        return cls(Counter(_rounded(value) for value in values))

    def __add__(self, other: Samples) -> Samples:
        return Samples(self.counts + other.counts)

    def __len__(self) -> int:
        return self.counts.total()

    def quantile(self, share: float) -> float:
        """The smallest value that *share* of all values don't exceed: 0.5 is the median, 1 the maximum."""
        left = share * len(self)
        for value, times in sorted(self.counts.items()):
            left -= times
            if left <= 1e-9:
                return value
        raise ValueError("nothing was measured")


def _rounded(value: float) -> float:
    return round(value, 2 - floor(log10(abs(value)))) if value and isfinite(value) else value


@attrs.frozen(kw_only=True)
class Result:
    """Of some trials; two are added up to that of all of them."""

    trials: int = 0
    faults: int = 0  #: what was done to processes and stores
    jobs: int = 0  #: acknowledged
    violations: int = 0
    words: tuple[str, ...] = ()  #: the first violations
    counts: Counter[str] = attrs.field(factory=Counter, converter=Counter)  #: what else was counted
    samples: dict[str, Samples] = attrs.Factory(dict)  #: what was measured, in seconds unless its name says otherwise

    @classmethod
    def wrong(cls, words: Iterable[str]) -> Result:
        """Violations."""
        words = list(words)
        return cls(violations=len(words), words=tuple(words[:_KEPT]))

    def __add__(self, other: Result) -> Result:
        return Result(
            trials=self.trials + other.trials,
            faults=self.faults + other.faults,
            jobs=self.jobs + other.jobs,
            violations=self.violations + other.violations,
            words=(*self.words, *other.words)[:_KEPT],
            counts=self.counts + other.counts,
            samples={
                name: self.samples.get(name, Samples()) + other.samples.get(name, Samples())
                for name in [*self.samples, *(name for name in other.samples if name not in self.samples)]
            },
        )

    def as_json(self) -> dict[str, Any]:
        """What `of_json` reads."""
        samples = {
            name: {f"{value:g}": n for value, n in sorted(each.counts.items())} for name, each in self.samples.items()
        }
        return {**attrs.asdict(self, recurse=False), "samples": samples}

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> Result:
        """What `as_json` wrote."""
        samples = {
            name: Samples(Counter({float(value): n for value, n in counts.items()}))
            for name, counts in stored["samples"].items()
        }
        return cls(**{**stored, "words": tuple(stored["words"]), "samples": samples})
