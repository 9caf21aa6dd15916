"""Checks of ``remove`` and ``prune``: what may be dropped, and what must stay."""

from __future__ import annotations

from typing import Any

from ..abc import Backend, Retention
from ..lifecycle import Cancel, Command, Complete, Expire, Job, Reject, Requeue
from ._given import LONG, OTHER, QUEUE, Make, a_job, all_ids, held, move, some_jobs, store_time

#: The queues that most checks prune.
BOTH = [QUEUE, OTHER]

#: Keeps everything.
_FOREVER = {"keep_completed": LONG, "keep_completed_max": 1_000, "keep_dead": LONG, "keep_dead_max": 1_000}


def _keeping(**limits: Any) -> Retention:
    return Retention(**{**_FOREVER, **limits})


async def _ended(backend: Backend, *endings: tuple[str, Command, float], queue: str = QUEUE) -> list[Job]:
    """Jobs that ended so many seconds ago; each by its command."""
    jobs = await held(backend, *(a_job(id, queue=queue, ttl=0.0) for id, _, _ in endings), queues=[queue])
    now = await store_time(backend)
    ended = []
    for job, (_, command, ago) in zip(jobs, endings, strict=True):
        change_at = now if isinstance(command, Expire) else now - ago
        ended.append(await move(backend, job, command, change_at))
    return ended


async def check_remove_refuses_active_jobs(make: Make) -> None:
    """Remove drops waiting, delayed and ended jobs, refuses active and unknown ones, and answers for each."""
    async with make() as backend:
        active, done = await held(backend, a_job("active"), a_job("done"))
        await move(backend, done, Complete())
        await backend.insert([a_job("waiting"), a_job("delayed", delay=LONG), a_job("1", queue=OTHER)])
        asked = ["waiting", "active", "delayed", "unknown", "done", "waiting", "1"]
        answers = await backend.remove(QUEUE, asked)
        assert list(answers) == [True, False, True, False, True, False, False], f"the answers were {answers}"
        assert await all_ids(backend) == ["active"], "what was removed is gone"
        assert await all_ids(backend, OTHER) == ["1"], "other queues are left alone"
        await move(backend, active, Complete())


async def check_prune_drops_what_ended_too_long_ago(make: Make) -> None:
    """Prune drops completed and cancelled jobs past one age, failed and expired ones past another, live ones never."""
    async with make() as backend:
        await _ended(
            backend,
            ("completed", Complete(), 6000.0),
            ("completed lately", Complete(), 4000.0),
            ("cancelled", Cancel(), 6000.0),
            ("failed", Reject("no"), 6000.0),
            ("failed long ago", Reject("no"), 9000.0),
        )
        await _ended(backend, ("elsewhere", Complete(), 6000.0), queue=OTHER)
        await held(backend, a_job("active"))
        await backend.insert([a_job("waiting"), a_job("delayed", delay=LONG)])
        assert await backend.prune(BOTH, _keeping(keep_completed=5000.0, keep_dead=8000.0)) == 4
        rest = ["completed lately", "failed", "active", "waiting", "delayed"]
        assert await all_ids(backend) == rest, "what is past its age is gone, and nothing else"
        assert await all_ids(backend, OTHER) == [], "in every queue"
        assert await backend.prune(BOTH, _keeping(keep_completed=5000.0, keep_dead=8000.0)) == 0, "that was all"


async def check_prune_drops_the_oldest_of_too_many(make: Make) -> None:
    """Prune leaves a queue so many ended jobs of each kind: those that ended last, whatever was written first."""
    async with make() as backend:
        await _ended(
            backend,
            ("1", Complete(), 30.0),
            ("2", Complete(), 50.0),
            ("3", Cancel(), 40.0),
            ("4", Reject("no"), 60.0),
            ("5", Expire(), 0.0),
        )
        await _ended(backend, ("6", Complete(), 70.0), ("7", Complete(), 80.0), queue=OTHER)
        assert await backend.prune(BOTH, _keeping(keep_completed_max=2, keep_dead_max=1)) == 2
        assert await all_ids(backend) == ["1", "3", "5"], "the oldest of each kind went"
        assert await all_ids(backend, OTHER) == ["6", "7"], "each queue keeps so many"


async def check_prune_leaves_other_queues_alone(make: Make) -> None:
    """Prune drops jobs of the queues that it names, and of no other: each may be kept for another time."""
    async with make() as backend:
        await _ended(backend, ("1", Complete(), 60.0), ("2", Reject("no"), 60.0))
        await _ended(backend, ("3", Complete(), 60.0), ("4", Reject("no"), 60.0), queue=OTHER)
        limits = _keeping(keep_completed=0.0, keep_dead_max=0)
        assert await backend.prune([], limits) == 0, "no queue was named"
        assert await backend.prune([OTHER, "unknown", OTHER], limits) == 2
        assert await all_ids(backend) == ["1", "2"], "the other queue is as it was"
        assert await all_ids(backend, OTHER) == []


async def check_prune_goes_in_bounded_batches(make: Make) -> None:
    """Each prune drops no more than its batch; one that drops none is the end."""
    async with make() as backend:
        ids = [str(number) for number in range(5)]
        await _ended(backend, *((id, Complete(), 60.0) for id in ids[:3]))
        await _ended(backend, *((id, Reject("no"), 60.0) for id in ids[3:]), queue=OTHER)
        limits = _keeping(keep_completed=0.0, keep_dead_max=0)
        dropped = [await backend.prune(BOTH, limits, batch=2) for _ in range(4)]
        assert dropped == [2, 2, 1, 0], f"the batches were {dropped}"


async def check_prune_leaves_what_was_requeued(make: Make) -> None:
    """A job that was requeued is live, and prune leaves it, however long ago it had ended."""
    async with make() as backend:
        [first, second] = await _ended(backend, ("1", Complete(), 90.0), ("2", Reject("no"), 90.0))
        for job in (first, second):
            await move(backend, job, Requeue())
        assert await backend.prune(BOTH, _keeping(keep_completed=0.0, keep_dead=0.0)) == 0
        assert await all_ids(backend) == ["1", "2"], "live jobs stay"
        jobs = (await backend.claim([QUEUE], 10, "ada-1", LONG, idle=False)).jobs
        await move(backend, jobs[0], Complete())
        assert await backend.prune(BOTH, _keeping(keep_completed=50.0)) == 0, "its age counts from its last end"


async def check_a_pruned_job_leaves_nothing_behind(make: Make) -> None:
    """A pruned job gives back its id and its unique key, and is counted no more."""
    async with make() as backend:
        await backend.insert(some_jobs(1, unique_key="k"))
        [job] = (await backend.claim([QUEUE], 1, "ada-1", LONG, idle=False)).jobs
        await move(backend, job, Complete())
        assert await backend.prune(BOTH, _keeping(keep_completed_max=0)) == 1
        assert sum((await backend.counts(QUEUE)).values()) == 0, "it is not counted"
        assert (await backend.get(QUEUE, ["0"])).jobs[0] is None, "it is gone"
        assert list((await backend.insert([a_job("0", unique_key="k")])).created) == [True], "its names are free"


async def check_a_key_outlives_its_former_holder(make: Make) -> None:
    """A unique key stays with the job that has it when an ended one that had it before is pruned or removed."""
    async with make() as backend:
        former = await held(backend, a_job("pruned", unique_key="k"))
        await move(backend, former[0], Complete())
        former = await held(backend, a_job("removed", unique_key="k"))
        await move(backend, former[0], Reject("no"))
        await backend.insert([a_job("holder", unique_key="k")])
        assert await backend.prune(BOTH, _keeping(keep_completed_max=0)) == 1
        assert list(await backend.remove(QUEUE, ["removed"])) == [True]
        reply = await backend.insert([a_job("late", unique_key="k")])
        assert (list(reply.created), reply.jobs[0].id) == ([False], "holder"), "the key is taken still"
