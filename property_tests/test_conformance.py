"""The contract of a backend: each check of `trioq.testing` is a rule, and here they are run.

Those that want a thread, and so the real clock, are run by ``tests/backends``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from property_tests.backends import Make
from trioq.testing import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_backend_keeps_the_contract(check: Callable[[Make], Awaitable[None]], make: Make) -> None:
    trio.run(check, make, clock=MockClock(autojump_threshold=0))
