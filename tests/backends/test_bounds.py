"""Bounds that the backends share: how much one call does at most."""

from __future__ import annotations

from pathlib import Path

import pytest
from trio.testing import MockClock

from tests.backend_list import Subject, each
from trioq._core.job import Job


@pytest.mark.parametrize("subject", each(virtual=True))
async def test_a_claim_lets_a_thousand_due_jobs_of_all_its_queues_join_the_ready_ones(
    subject: Subject, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with subject.make(tmp_path) as backend:
        for queue in "ab":
            await backend.insert([Job(id=str(number), queue=queue, task="t", delay=1) for number in range(600)])
        autojump_clock.jump(2)
        first = await backend.claim(["a", "b"], 5_000, "w", 15, idle=False)
        assert len(first.jobs) == 1_000
        assert first.next_due is not None
        assert first.next_due <= first.now, "there are more"
        second = await backend.claim(["a", "b"], 5_000, "w", 15, idle=False)
        assert (len(second.jobs), second.next_due) == (200, None)
