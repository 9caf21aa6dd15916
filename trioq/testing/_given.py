"""What the checks share: jobs, claims, settlements, and reads of a whole store.  No check is here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs
import trio

from ..abc import Backend, Claimed, Filter, Lease, Presence, Verdict
from ..lifecycle import Command, Job, State, step

#: Answers a new backend over an empty store, not yet entered.
Make = Callable[[], Backend]

QUEUE: Final = "emails"
OTHER: Final = "reports"
ADA: Final = "ada-1"
BOB: Final = "bob-2"

#: Seconds of store time that a check waits for.  A write under a lease is given up after a third of it.
SHORT: Final = 1.0

#: Seconds that never pass.
LONG: Final = 3_600.0

#: How often a check looks whether the time has come; and how long it waits for that, or for a hint.
_LOOK: Final = 0.01
PATIENCE: Final = 30.0


def a_job(id: str = "1", **fields: Any) -> Job:
    """A job that is not stored yet."""
    return Job(**{"id": id, "queue": QUEUE, "task": "send", **fields})


def some_jobs(count: int, **fields: Any) -> list[Job]:
    """Jobs with the ids 0, 1, 2 and so on."""
    return [a_job(str(number), **fields) for number in range(count)]


def presence(worker: str = ADA, lease: float = LONG, leaving: bool = False) -> Presence:
    """A worker as it renews."""
    return Presence(worker=worker, name=worker, host="localhost", slots=10, lease=lease, leaving=leaving)


async def claim(
    backend: Backend,
    queues: Sequence[str] = (QUEUE,),
    limit: int = 100,
    worker: str = ADA,
    lease: float = LONG,
    idle: bool = False,
) -> Claimed:
    """Claim as a worker that runs something already, unless *idle*."""
    return await backend.claim(queues, limit, worker, lease, idle)


async def claimed_ids(backend: Backend, **how: Any) -> list[str]:
    """The ids of what a claim hands out, in order."""
    return [job.id for job in (await claim(backend, **how)).jobs]


async def held(backend: Backend, *jobs: Job, **how: Any) -> list[Job]:
    """Insert jobs that are ready, and claim them."""
    await backend.insert(jobs)
    claimed = list((await claim(backend, **how)).jobs)
    assert sorted(job.id for job in claimed) == sorted(job.id for job in jobs), "a claim hands out what is ready"
    return claimed


async def settle(backend: Backend, job: Job, command: Command, now: float | None = None) -> Verdict:
    """Settle *job*, as it was read before, by *command*; answers the verdict."""
    change = step(job, command, await store_time(backend) if now is None else now)
    [verdict] = (await backend.settle([change])).verdicts
    return verdict


async def move(backend: Backend, job: Job, command: Command, now: float | None = None) -> Job:
    """Store what *command* makes of *job*, and answer the new record."""
    change = step(job, command, await store_time(backend) if now is None else now)
    [verdict] = (await backend.settle([change])).verdicts
    assert verdict is Verdict.STORED, f"{change} is {verdict}, though no other write has touched the job"
    return job.after(change)


async def lose(backend: Backend, job: Job, worker: str = ADA) -> Job:
    """Let the lease of a held *job* run out; answers the record."""
    await backend.renew(presence(worker, lease=SHORT), [Lease(job.queue, job.id, job.run)])
    lost = await stored(backend, job)
    await wait_until(backend, lost.lease_until or 0.0)
    return lost


async def stored(backend: Backend, job: Job) -> Job:
    """The record as it is now."""
    [found] = (await backend.get(job.queue, [job.id])).jobs
    assert found is not None, f"job {job.id} of queue {job.queue} is gone"
    return found


async def all_jobs(
    backend: Backend, queue: str = QUEUE, states: Iterable[State] = State, task: str | None = None, limit: int = 100
) -> list[Job]:
    """The matching jobs of a queue, page by page."""
    filter = Filter(queue=queue, states=frozenset(states), task=task)
    jobs: list[Job] = []
    cursor = None
    while True:
        page = await backend.find(filter, cursor, limit)
        assert len(page.jobs) <= limit, "a page has no more than was asked for"
        jobs += page.jobs
        if page.cursor is None:
            return jobs
        assert cursor is None or page.cursor > cursor, "each page goes on after the one before"
        cursor = page.cursor


async def all_ids(backend: Backend, queue: str = QUEUE, **which: Any) -> list[str]:
    """The ids of the matching jobs, by seq."""
    return [job.id for job in await all_jobs(backend, queue, **which)]


async def store_time(backend: Backend) -> float:
    """The store's now."""
    return (await backend.get(QUEUE, [])).now


async def wait_until(backend: Backend, at: float) -> None:
    """Sleep until the store's clock has come to *at*."""
    with trio.move_on_after(PATIENCE):
        while await store_time(backend) < at:  # noqa: ASYNC110  # no event tells of the store's time
            await trio.sleep(_LOOK)
        return
    raise AssertionError(
        "the store's clock stands still while Trio sleeps. Give the checks a backend whose clock follows Trio's, "
        "or run them on the real clock"
    )


def assert_same(found: Iterable[Job | None], wanted: Iterable[Job | None], why: str) -> None:
    """Fail with the fields that differ: two reprs of forty fields can't be compared by eye."""
    found, wanted = list(found), list(wanted)
    if found == wanted:
        return
    ids = [[job and job.id for job in jobs] for jobs in (found, wanted)]
    lines = [f"{why}; found the jobs {ids[0]}, not {ids[1]}"] if ids[0] != ids[1] else [why]
    for left, right in zip(found, wanted, strict=False):
        if left is not None and right is not None and left.id == right.id:
            lines += _differences(left, right)
    raise AssertionError("\n".join(lines))


def _differences(found: Job, wanted: Job) -> list[str]:
    pairs = [(field.name, getattr(found, field.name), getattr(wanted, field.name)) for field in attrs.fields(Job)]
    return [f"  {found.id}.{name} is {left!r:.200}, not {right!r:.200}" for name, left, right in pairs if left != right]
