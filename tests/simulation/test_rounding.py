"""A store may keep whole microseconds: the rules that compare times allow for that, and for no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from trioq._core.lifecycle import Change
from trioq.backends._base import Settled
from trioq.backends.memory import InMemoryBackend
from trioq.testing.simulation.draw import draw_plan
from trioq.testing.simulation.plan import TICK
from trioq.testing.simulation.rules import broken
from trioq.testing.simulation.rules.reading import ROUNDING
from trioq.testing.simulation.world import simulate


class Microseconds(InMemoryBackend):
    """Every time that it stores is rounded."""

    async def _now(self) -> float:
        return round(await super()._now(), 6)

    async def settle(self, changes: Sequence[Change]) -> Settled:
        return await super().settle([attrs.evolve(change, fields=_rounded(change.fields)) for change in changes])


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in fields.items()}


@pytest.mark.parametrize("seed", range(10))
def test_a_store_that_keeps_microseconds_breaks_no_rule(seed: int):
    assert broken(simulate(draw_plan(seed), Microseconds)) == []


def test_what_is_allowed_for_is_far_less_than_a_tick():
    assert 1e-6 < ROUNDING < TICK / 1000
