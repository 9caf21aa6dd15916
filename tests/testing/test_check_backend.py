"""The checks themselves: that they are complete, explain themselves, and notice a broken backend."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

import trioq.testing
from trioq import InMemoryBackend
from trioq.abc import Settled, Verdict
from trioq.lifecycle import Change
from trioq.testing import CHECKS, check_backend


class Gullible(InMemoryBackend):
    """Says that everything was stored."""

    async def settle(self, changes: Sequence[Change]) -> Settled:
        return Settled((await super().settle(changes)).now, [Verdict.STORED] * len(changes))


def run(make: type[InMemoryBackend]) -> None:
    trio.run(check_backend, make, clock=MockClock(autojump_threshold=0))


def test_check_backend_accepts_the_reference():
    run(InMemoryBackend)


def test_check_backend_refuses_a_store_that_accepts_stale_writes():
    with pytest.raises(AssertionError, match=r"^Broken: [A-Z][^\n]*\. \(check_[a-z_]+\)\n  "):
        run(Gullible)


def test_every_check_is_exported_and_says_what_it_proves():
    exported = {name for name in vars(trioq.testing) if name.startswith("check_")} - {"check_backend"}
    assert exported == {check.__name__ for check in CHECKS}
    assert [check.__name__ for check in CHECKS if not (check.__doc__ or "").rstrip().endswith(".")] == []


def test_a_clock_that_stands_still_is_named_as_the_reason():
    class Frozen(InMemoryBackend):
        def __init__(self) -> None:
            super().__init__(clock=lambda: 1.0)

    with pytest.raises(AssertionError, match="clock stands still"):
        trio.run(trioq.testing.check_timed_jobs_are_handed_out_once_due, Frozen, clock=MockClock(autojump_threshold=0))
