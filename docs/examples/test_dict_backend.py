"""The whole contract, each check as a test of its own."""

import pytest
import trio
import trioq.testing
from trio.testing import MockClock

from dict_backend import DictBackend


@pytest.mark.parametrize("check", trioq.testing.CHECKS, ids=lambda check: check.__name__)
def test_conforms(check):
    trio.run(check, DictBackend, clock=MockClock(autojump_threshold=0))
