"""Simulate worlds until one breaks a rule: ``python -m property_tests.mutants.worlds BACKEND COUNT``.

It prints ``SEED RULE`` of the first world that does, and then exits with 1.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Final

from property_tests.backends import OURS
from trioq.testing.simulation.draw import draw_plan
from trioq.testing.simulation.rules import broken
from trioq.testing.simulation.world import simulate

#: Seconds of the real clock for one world, which takes a tenth of one: a fault may make it go on for ever.
LONGEST: Final = 20


def first_broken(backend: str, seeds: range) -> tuple[int, str] | None:
    """The first of these seeds whose world breaks a rule, and which; a world that ends in an error breaks one, too."""
    for seed in seeds:
        signal.signal(signal.SIGALRM, lambda *_, seed=seed: _leave(seed, "every_world_ends"))
        signal.alarm(LONGEST)
        try:
            lines = broken(simulate(draw_plan(seed), OURS[backend]))
        except Exception as error:
            return seed, f"no_world_ends_in_an_error ({type(error).__name__})"
        if lines:
            return seed, lines[0].partition(":")[0]
    signal.alarm(0)
    return None


def _leave(*found: object) -> None:
    """End without any clean-up: Trio may be in the midst of anything."""
    print(*found, flush=True)  # noqa: T201 - it is a script
    os._exit(1)


def main() -> None:
    """What the command line asks for."""
    warnings.simplefilter("error")
    found = first_broken(sys.argv[1], range(int(sys.argv[2])))
    if found is not None:
        _leave(*found)


if __name__ == "__main__":
    main()
