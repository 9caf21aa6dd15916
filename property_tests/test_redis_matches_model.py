"""Random programs leave Redis and the naive model in the same place.

A clock that jumps whenever no task runs would jump while a server works.  So time passes here by hand: it stands still
while anything is asked, and the programs of ``test_backend_matches_model`` move it between two steps.
"""

from __future__ import annotations

from itertools import count
from typing import Final

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.test_backend_matches_model import Program
from tests.servers import PROGRAMS, shared
from trioq.backends.redis import RedisBackend
from trioq.lifecycle import Job

_BEGAN: Final = 1_700_000_000.0
_prefixes: Final = count()


class ByHand(Program):
    """A program that moves the clock instead of sleeping."""

    def may_list(self, worker: str, job: Job) -> bool:
        """Its own.  A server that lost the tail repeats a run, so there the holder fences as well."""
        return job.worker in (None, worker)

    async def pass_time(self, seconds: float) -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.jump(max(0.0, seconds))
        self.hear(await self.ask_the_time())


@pytest.mark.parametrize("server", PROGRAMS)
@settings(max_examples=max(15, settings().max_examples // 8))
@given(data=st.data())
def test_any_program_leaves_redis_and_the_model_in_the_same_place(server: str, data: st.DataObject) -> None:
    async def main() -> None:
        began = trio.current_time()
        prefix = f"program-{next(_prefixes)}"
        url = shared(server).url
        async with RedisBackend(url, prefix, clock=lambda: _BEGAN + trio.current_time() - began) as backend:
            await ByHand(backend, data).run(2 * settings().stateful_step_count)
        shared(server).command("FLUSHALL")  # thousands of programs leave a store each

    trio.run(main, clock=MockClock())
