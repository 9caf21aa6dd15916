"""Checks a backend of yours against the specification: the contract, check by check, and worlds full of faults."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from ._conformance import CHECKS, run_check
from ._given import Make
from .simulation.seeds import check_seed


def spec(make: Make, *, histories: int = 200, seed: int = 0) -> None:
    """Prove that the backends which *make* answers keep the part of the specification that is about backends.

    ::

        def test_my_backend_keeps_the_specification():
            trioq.testing.spec(MyBackend)

    Runs every check of `trioq.testing.CHECKS`, and then *histories* simulated worlds, those of *seed* and of the seeds
    after it.  In a world, real workers and clients use such a backend, while calls fail, processes die and freeze, and
    clocks are set.  A world takes about 50 milliseconds.

    *make* answers a backend over a new, empty store, not yet entered, whose clock follows Trio's.  All of this happens
    in virtual time, in a ``trio.run`` of its own, so call it outside of Trio.

    AssertionError says what does not hold, by the sentence and the name that it has in the specification.  For a world
    it adds a report, made as short as possible, and the command that repeats it.
    """
    for check in CHECKS:
        trio.run(run_check, check, make, clock=MockClock(autojump_threshold=0))
    for number in range(seed, seed + histories):
        check_seed(number, make)
