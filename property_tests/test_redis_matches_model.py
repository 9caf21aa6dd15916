"""Random programs leave Redis and the naive model in the same place.

A clock that jumps whenever no task runs would jump while a server works.  So time passes here by hand: it stands still
while anything is asked, and the programs of ``test_backend_matches_model`` move it between two steps.
"""

from __future__ import annotations

from typing import Final

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.test_backend_matches_model import Program
from tests.servers import EACH, shared
from trioq.backends.redis import RedisBackend
from trioq.lifecycle import Job

_BEGAN: Final = 1_700_000_000.0


class ByHand(Program):
    """A program that moves the clock instead of sleeping."""

    def may_list(self, worker: str, job: Job) -> bool:
        """Not one of the same run that another worker holds.

        A server that lost the tail repeats a run, as does a job that is enqueued anew after its removal, so here the
        holder fences as well.
        """
        now = self.model.find(job.queue, job.id)
        return now is None or now["run"] != job.run or now["worker"] in (None, worker)

    async def pass_time(self, seconds: float) -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.jump(max(0.0, seconds))
        self.note_time(await self.ask_the_time())


@pytest.mark.parametrize("server", EACH)
@settings(max_examples=settings().max_examples // 10)
@given(data=st.data())
def test_any_program_leaves_redis_and_the_model_in_the_same_place(server: str, data: st.DataObject) -> None:
    async def main() -> None:
        began = trio.current_time()
        # One store for all programs: the order in which a sweep passes the queues depends on the names of the keys, and
        # a program that is tried again has to see what it saw.
        shared(server).command("FLUSHALL")
        backend = RedisBackend(shared(server).url, "program", clock=lambda: _BEGAN + trio.current_time() - began)
        async with backend:
            await ByHand(backend, data).run(2 * settings().stateful_step_count)

    trio.run(main, clock=MockClock())
