"""Worlds that are written by hand: simulated, judged by the rules of all histories, and told where one is broken."""

from __future__ import annotations

import os
from collections.abc import Sequence

from property_tests.backends import Make
from trioq.testing.simulation.history import SimulatedHistory
from trioq.testing.simulation.plan import Plan
from trioq.testing.simulation.report import report
from trioq.testing.simulation.rules import broken
from trioq.testing.simulation.world import simulate


def lived(plan: Plan, make: Make) -> SimulatedHistory:
    """What happens; no rule is broken by it."""
    history = simulate(plan, make)
    lines = broken(history)
    assert not lines, told(history, lines)
    return history


def told(history: SimulatedHistory, lines: Sequence[str] = ()) -> str:
    """Its report, with the test that makes it again."""
    test = os.environ["PYTEST_CURRENT_TEST"].removesuffix(" (call)")
    return "\n" + report(history, lines, f"pytest '{test}'")
