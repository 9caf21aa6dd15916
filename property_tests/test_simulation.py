"""Whole worlds: real workers and clients over each backend, while everything breaks that can.

A world is drawn from its seed: who enqueues what, how the handlers behave, which calls fail, who dies, freezes or is
cut off, and when.  What happens is judged by the rules of `trioq.testing.simulation.rules`, which are the chapters on
workers, limits and events of the specification, and half of that on the store.

The same seeds each time: new ones are explored by ``make soak``.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import settings

from property_tests.backends import Make
from trioq.testing.simulation.draw import draw_plan
from trioq.testing.simulation.seeds import check_seed
from trioq.testing.simulation.world import simulate

pytestmark = pytest.mark.one_backend

#: Each is a second's work.
_WORLDS = settings().max_examples // 2

#: The worlds of one test.  Many small tests say how far they got.
_BATCH = 15


@pytest.mark.parametrize("first", range(0, _WORLDS, _BATCH))
def test_no_world_breaks_a_rule(make: Make, first: int) -> None:
    for seed in range(first, min(first + _BATCH, _WORLDS)):
        check_seed(seed, make)


@pytest.mark.slow
def test_a_seed_makes_the_same_history_each_time(make: Make) -> None:
    """A seed decides a world to the last step of the scheduler, in any process, whatever has run before it."""
    seeds = range(5)
    here = [told(seed, make) for seed in seeds]
    assert here == [told(seed, make) for seed in seeds]
    script = (
        "from property_tests import backends, test_simulation\n"
        f"make = backends.named('{make.__module__}:{make.__qualname__}')\n"
        f"print([test_simulation.told(seed, make) for seed in {seeds}])"
    )
    for salt in ("1", "2"):  # sets of strings go by another order in each
        elsewhere = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": salt},
            check=True,
            capture_output=True,
            text=True,
        )
        assert elsewhere.stdout.strip() == str(here)


def told(seed: int, make: Make) -> str:
    """A whole history in words."""
    return "\n".join(map(str, simulate(draw_plan(seed), make).entries))
