"""Random programs leave PostgreSQL and the naive model in the same place.

A clock that jumps whenever no task runs would jump while a server works.  So time passes here by hand: it stands still
while anything is asked, and the programs of ``test_backend_matches_model`` move it between two steps.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.test_backend_matches_model import Program
from tests.postgres_server import EACH, shared
from tests.postgres_stores import new_schema
from trioq.backends.postgres import PostgresBackend

_BEGAN: Final = 1_700_000_000.0


class ByHand(Program):
    """A program that moves the clock instead of sleeping."""

    async def pass_time(self, seconds: float) -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.jump(max(0.0, seconds))
        self.note_time(await self.ask_the_time())


@cache
def _schema(server: str) -> str:
    return new_schema(shared(server))


def _empty(server: str) -> str:
    """A store with nothing in it: a schema for each of thousands of programs would cost more than the programs do."""
    schema = _schema(server)
    shared(server).sql(f"TRUNCATE {schema}.jobs, {schema}.paused, {schema}.workers")
    return schema


@pytest.mark.parametrize("server", EACH)
@settings(max_examples=settings().max_examples // 15)  # each takes a second or two
@given(data=st.data())
def test_any_program_leaves_postgresql_and_the_model_in_the_same_place(server: str, data: st.DataObject) -> None:
    async def main() -> None:
        began = trio.current_time()
        url, schema = shared(server).url, _empty(server)
        async with PostgresBackend(url, schema, clock=lambda: _BEGAN + trio.current_time() - began) as backend:
            await ByHand(backend, data).run(2 * settings().stateful_step_count)

    trio.run(main, clock=MockClock())
