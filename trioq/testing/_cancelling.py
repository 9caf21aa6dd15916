"""Checks that every verb is a good Trio citizen: a checkpoint, cancelled cleanly, and fine with empty batches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
import trio.testing

from ..abc import Backend, Filter, Lease, Retention, Verdict
from ..lifecycle import Cancel, Job, step
from ._given import ADA, LONG, QUEUE, Make, a_job, all_ids, all_jobs, assert_same, held, presence, store_time

_KEEP_NOTHING = Retention(keep_completed=0.0, keep_completed_max=0, keep_dead=0.0, keep_dead_max=0)

Verb = Callable[[], Awaitable[object]]


async def _every_verb(backend: Backend) -> dict[str, Verb]:
    """Each verb with something to do."""
    [active] = await held(backend, a_job("active"))
    [ended] = await held(backend, a_job("ended"))
    now = await store_time(backend)
    await backend.settle([step(ended, Cancel(), now)])
    await backend.insert([a_job("waiting"), a_job("late", ttl=0.0), a_job("removed")])
    return {
        "get": lambda: backend.get(QUEUE, ["active"]),
        "have_ended": lambda: backend.have_ended(QUEUE, ["active"]),
        "find": lambda: backend.find(Filter(queue=QUEUE)),
        "counts": lambda: backend.counts(QUEUE),
        "queues": backend.queues,
        "is_queue_paused": lambda: backend.is_queue_paused(QUEUE),
        "overdue": lambda: backend.overdue(10),
        "workers": backend.workers,
        "watch": lambda: _watch(backend),
        "insert": lambda: backend.insert([a_job("new")]),
        "claim": lambda: backend.claim([QUEUE], 1, ADA, LONG, idle=False),
        "renew": lambda: backend.renew(presence(), [Lease(QUEUE, "active", active.run, "half")]),
        "settle": lambda: backend.settle([step(active, Cancel(), now)]),
        "remove": lambda: backend.remove(QUEUE, ["removed"]),
        "prune": lambda: backend.prune([QUEUE], _KEEP_NOTHING),
        "pause": lambda: backend.pause(QUEUE),
        "resume": lambda: backend.resume(QUEUE),
    }


async def _watch(backend: Backend) -> None:
    async with backend.watch([QUEUE]):
        pass


async def check_every_verb_is_a_checkpoint(make: Make) -> None:
    """Each verb lets other tasks run, and can be cancelled, whether or not it has to wait."""
    async with make() as backend:
        for name, verb in (await _every_verb(backend)).items():
            try:
                with trio.testing.assert_checkpoints():
                    await verb()
            except AssertionError as error:
                raise AssertionError(f"{name} is no checkpoint") from error


async def check_a_cancelled_verb_does_nothing(make: Make) -> None:
    """A verb that is cancelled before its request leaves raises Cancelled, and the store is as it was."""
    async with make() as backend:
        verbs = await _every_verb(backend)
        before = await all_jobs(backend)
        for name, verb in verbs.items():
            with trio.CancelScope() as scope:
                scope.cancel()
                await verb()
            assert scope.cancelled_caught, f"{name} does not notice that it is cancelled"
            assert_same(await all_jobs(backend), before, f"{name} was cancelled, and did something all the same")
            assert not await backend.is_queue_paused(QUEUE), f"{name} was cancelled, and did something all the same"
        assert await backend.workers() == [], "renew was cancelled, and did something all the same"


async def check_a_cancelled_write_has_a_known_outcome(make: Make) -> None:
    """Whenever writes are cancelled, those that return are stored, and those that raise Cancelled are not."""
    async with make() as backend:
        returned: list[str] = []

        async def write(id: str) -> None:
            await backend.insert([a_job(id)])
            returned.append(id)

        for pauses in range(6):
            async with trio.open_nursery() as nursery:
                for number in range(8):
                    nursery.start_soon(write, f"{pauses}-{number}")
                for _ in range(pauses):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        await backend.insert([a_job("last")])  # what was still on its way would be stored before this
        assert sorted(await all_ids(backend)) == sorted([*returned, "last"]), (
            "what returned is stored, and nothing else"
        )


async def check_empty_batches_are_fine(make: Make) -> None:
    """Given nothing to do, a verb answers nothing and changes nothing."""
    async with make() as backend:
        [job] = await held(backend, a_job())
        inserted = await backend.insert([])
        answers: list[Any] = [
            [*inserted.jobs, *inserted.created],
            list((await backend.settle([])).verdicts),
            list((await backend.renew(presence("eve-3"), [])).lost),
            list((await backend.get(QUEUE, [])).jobs),
            list((await backend.claim([], 10, ADA, LONG, idle=True)).jobs),
            list(await backend.remove(QUEUE, [])),
        ]
        assert answers == [[]] * len(answers), f"the answers were {answers}"
        assert await backend.prune([QUEUE], _KEEP_NOTHING) == 0
        assert_same(await all_jobs(backend), [job], "nothing changed")


async def check_concurrent_writes_each_get_their_own_answer(make: Make) -> None:
    """However writes are merged on their way, each caller gets its own answer, and a refused change fails alone."""
    async with make() as backend:
        jobs = await held(backend, *(a_job(str(number)) for number in range(12)))
        now = await store_time(backend)
        answers: dict[str, list[Verdict]] = {}

        async def settle(job: Job, times: int) -> None:
            changes = [step(job, Cancel(str(number)), now) for number in range(times)]
            answers[job.id] = list((await backend.settle(changes)).verdicts)

        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(settle, job, 1 + int(job.id) % 3)
        wanted = {job.id: [Verdict.STORED, Verdict.STALE, Verdict.STALE][: 1 + int(job.id) % 3] for job in jobs}
        assert answers == wanted, f"the answers were {answers}"
