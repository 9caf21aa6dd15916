"""Simulates and judges the world of a seed, and reports one that breaks a rule."""

from __future__ import annotations

from .._given import Make
from .._naming import name_of
from .draw import draw_plan
from .history import SimulatedHistory
from .plan import Plan
from .report import report
from .rules import broken
from .shrink import shrink
from .world import simulate


def check_seed(seed: int, make: Make) -> SimulatedHistory:
    """Simulate the world of this seed over the store that *make* answers; answers its history, which breaks no rule.

    AssertionError has the report of a smaller world that breaks the same rule, and the command that repeats it.
    """
    plan = draw_plan(seed)
    try:
        history = simulate(plan, make)
    except Exception as error:
        again = command(seed, make)
        raise AssertionError(
            f"the world of seed {seed} ends in an error: {error!r}\nTo see it again:\n  {again}"
        ) from error
    names = _names(broken(history))
    if names:
        history = simulate(shrink(plan, lambda smaller: _breaks(smaller, make, names)), make)
        raise AssertionError("\n" + report(history, broken(history), command(seed, make)))
    return history


def _breaks(plan: Plan, make: Make, names: set[str]) -> bool:
    try:
        return not names.isdisjoint(_names(broken(simulate(plan, make))))
    except Exception:  # an error is not the broken rule that we look for
        return False


def _names(lines: list[str]) -> set[str]:
    return {line.partition(":")[0] for line in lines}


def command(seed: int, make: Make) -> str:
    """How to repeat the world of this seed: by a command, where *make* has a name; else by a call."""
    name = name_of(make)
    if name is None:
        return f"trioq.testing.spec(make, seed={seed}, histories=1)"
    return f"python -m trioq.testing.simulation {seed} --backend {name}"
