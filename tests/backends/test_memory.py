"""The in-memory backend's own: what it keeps, and for how long.  The verbs are conformance's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from trioq._core.job import Job
from trioq._core.lifecycle import Cancel, Complete, Fail, Release, Snooze, step
from trioq.backends._base import PAGE
from trioq.backends.memory import InMemoryBackend

_HEAPS = ("ready", "last_lives", "timed", "expiring", "finished", "dead")

Life = Callable[[InMemoryBackend, Job], Awaitable[None]]


async def ends(backend: InMemoryBackend, job: Job) -> None:
    await backend.settle([step(job, Complete(), 0.0)])


async def fails(backend: InMemoryBackend, job: Job) -> None:
    await backend.settle([step(job, Fail("no", 0.0), 0.0)])


async def is_cancelled_while_it_waits(backend: InMemoryBackend, job: Job) -> None:
    release = step(job, Release(), 0.0)
    await backend.settle([release, step(job.after(release), Cancel(), 0.0)])


async def is_cancelled_while_it_sleeps(backend: InMemoryBackend, job: Job) -> None:
    snooze = step(job, Snooze(1e6), 1e12)
    await backend.settle([snooze, step(job.after(snooze), Cancel(), 0.0)])


@pytest.mark.parametrize("life", [ends, fails, is_cancelled_while_it_waits, is_cancelled_while_it_sleeps])
@pytest.mark.parametrize("max_crashes", [1, 3])
async def test_a_removed_job_is_forgotten_though_its_deadlines_are_far_away(life: Life, max_crashes: int) -> None:
    async with InMemoryBackend() as backend:
        await backend.insert([Job(id="low", queue="q", task="t", priority=9)])
        for number in range(2 * PAGE):
            job = Job(id=str(number), queue="q", task="t", ttl=1e6, max_retries=0, max_crashes=max_crashes)
            await backend.insert([job])
            [held] = (await backend.claim(["q"], 1, "w", 15, idle=True)).jobs
            await life(backend, held)
            await backend.remove("q", [job.id])
        shelves = backend._shelves["q"]
        assert {name: len(getattr(shelves, name)) for name in _HEAPS if len(getattr(shelves, name)) > PAGE + 10} == {}
        [last] = (await backend.claim(["q"], 5, "w", 15, idle=True)).jobs
        assert last.id == "low"


async def test_there_is_nothing_to_migrate() -> None:
    async with InMemoryBackend() as backend:
        await backend.migrate()
