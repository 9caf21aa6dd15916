"""Backends that work in a thread keep the whole contract: each check of `trioq.testing`, on the real clock.

Those that keep to virtual time are asked by ``property_tests/test_conformance.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.backend_list import Subject, each
from trioq.testing import CHECKS
from trioq.testing._given import Make


@pytest.mark.parametrize("subject", each(virtual=False))
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_backend_keeps_the_contract(check: Callable[[Make], Awaitable[None]], subject: Subject, tmp_path: Path):
    trio.run(check, partial(subject.make, tmp_path), clock=subject.clock())
