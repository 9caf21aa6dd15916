"""How long to wait before a retry: declarative, serialisable values.  The caller rolls the dice.

Every policy has ``delay(failures, roll)``, which returns seconds; ``failures`` counts from 1 and ``roll`` is in
[0, 1).  The delay is never negative and never past ``max_delay``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import inf
from sys import float_info
from typing import Any, Final

import attrs
from attrs import validators


def check_seconds(what: str, value: Any) -> float:
    """*value* as a float that can be added to a time; ValueError, which names *what* it is, for anything else."""
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not real or not 0 <= value <= float_info.max:  # refuses NaN, and an int that no float can hold
        raise ValueError(f"{what} is a number of seconds, 0 or more, not {value!r}")
    return float(value)


def _real(value: float) -> float:
    # Any other value stays as it is: the validators refuse it, because they know the name of the field.
    real = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= float_info.max
    return float(value) if real else value


def _reals(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(map(_real, values))


def _seconds(_: object, field: attrs.Attribute[float], value: float) -> None:
    check_seconds(field.name, value)


def _share(_: object, field: attrs.Attribute[float], value: float) -> None:
    if not isinstance(value, float) or not 0 <= value <= 1:
        raise ValueError(f"{field.name} is a share from 0 to 1, not {value!r}")


@attrs.frozen
class Fixed:
    """The same wait after every failure."""

    seconds: float = attrs.field(converter=_real, validator=_seconds)

    def delay(self, failures: int, roll: float) -> float:
        """Seconds to wait after the *failures*-th failure."""
        return self.seconds


@attrs.frozen
class Linear:
    """``base`` seconds more after each failure, up to ``max_delay``, less a random share of at most ``jitter``."""

    base: float = attrs.field(default=1.0, converter=_real, validator=_seconds)
    max_delay: float = attrs.field(default=300.0, converter=_real, validator=_seconds)
    jitter: float = attrs.field(default=0.0, converter=_real, validator=_share)

    def delay(self, failures: int, roll: float) -> float:
        """Seconds to wait after the *failures*-th failure."""
        return min(self.max_delay, self.base * failures) * (1 - self.jitter * roll)


@attrs.frozen
class Exponential:
    """``base * factor ** (n - 1)`` after the n-th failure, up to ``max_delay``, less a random share of it.

    ``Exponential(base=1, factor=2, max_delay=300, jitter=0.1)`` waits 1, 2, 4, ... 300 seconds, each up to
    a tenth shorter, so that jobs that failed together do not come back together.
    """

    base: float = attrs.field(default=1.0, converter=_real, validator=_seconds)
    factor: float = attrs.field(default=2.0, converter=_real, validator=_seconds)
    max_delay: float = attrs.field(default=300.0, converter=_real, validator=_seconds)
    jitter: float = attrs.field(default=0.1, converter=_real, validator=_share)

    def delay(self, failures: int, roll: float) -> float:
        """Seconds to wait after the *failures*-th failure."""
        try:
            growth = self.factor ** (failures - 1)
        except OverflowError:
            growth = inf
        full = min(self.max_delay, self.base * growth) if self.base else 0.0
        return full * (1 - self.jitter * roll)


@attrs.frozen
class Steps:
    """These waits in turn; the last one repeats.  ``Steps([1, 10, 60])``."""

    delays: tuple[float, ...] = attrs.field(
        converter=_reals,
        validator=[validators.min_len(1), validators.deep_iterable(_seconds)],
    )

    def delay(self, failures: int, roll: float) -> float:
        """Seconds to wait after the *failures*-th failure."""
        return self.delays[min(failures, len(self.delays)) - 1]


Backoff = Fixed | Linear | Exponential | Steps

_KINDS: Final[Mapping[str, type[Backoff]]] = {
    "fixed": Fixed,
    "linear": Linear,
    "exponential": Exponential,
    "steps": Steps,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


@lru_cache(maxsize=256)
def to_wire(backoff: Backoff) -> Mapping[str, Any]:
    """The policy as a flat mapping that JSON can carry."""
    return {"kind": _NAMES[type(backoff)], **attrs.asdict(backoff)}


def from_wire(data: Mapping[str, Any]) -> Backoff:
    """The policy that `to_wire` wrote; ValueError for anything else."""
    try:
        return _from_items(tuple((name, _hashable(value)) for name, value in data.items()))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a backoff policy: {data!r:.200}") from error


@lru_cache(maxsize=256)
def _from_items(items: Sequence[tuple[str, Any]]) -> Backoff:
    fields = dict(items)
    return _KINDS[fields.pop("kind")](**fields)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
