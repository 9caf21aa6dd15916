"""The read verbs, over a session.  No Trio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..._core.job import Job, State
from .._base import PAGE, Filter, Found, Overdue, Page, Presence
from .rows import read_job, states_by_count

if TYPE_CHECKING:
    from .session import Session


async def overdue(session: Session, limit: int) -> Overdue:
    """Return jobs whose lease ran out, then jobs whose time to live did."""
    answer = await session.ask("overdue", limit=limit)
    return Overdue(answer[0][0], [read_job(record) for _, *record in answer if record[0] is not None])


async def get(session: Session, queue: str, ids: Sequence[str]) -> Found:
    """Return jobs by id."""
    answer = await session.ask("get", queue=queue, ids=list(dict.fromkeys(ids)))
    jobs = [read_job(record) for _, *record in answer if record[0] is not None]
    by_id = {job.id: job for job in jobs}
    return Found(answer[0][0], [by_id.get(id) for id in ids])


async def have_ended(session: Session, queue: str, ids: Sequence[str]) -> list[bool]:
    """Return whether each job is final or gone, without reading payloads and results."""
    live = {id for (id,) in await session.ask("live", queue=queue, ids=list(dict.fromkeys(ids)))}
    return [id not in live for id in ids]


async def find(session: Session, filter: Filter, cursor: int | None, limit: int) -> Page:
    """Return the matching jobs among the next PAGE records of the queue."""
    start = cursor or 0
    answer = await session.ask(
        "page",
        queue=filter.queue,
        cursor=start,
        page=PAGE,
        states=sorted(state.value for state in filter.states),
        task=filter.task,
        limit=limit,
    )
    now, looked, last, *_ = answer[0]
    jobs: list[Job] = [read_job(record) for _, _, _, *record in answer if record[0] is not None]
    if len(jobs) == limit:
        return Page(now, jobs, jobs[-1].seq if jobs else start)
    return Page(now, jobs, last if looked == PAGE else None)


async def counts(session: Session, queue: str) -> dict[State, int]:
    """Count by state over the indexes, a shelf at a time."""
    return states_by_count(await session.ask("counts", queue=queue))


async def queues(session: Session) -> list[str]:
    """Return each name once."""
    return [queue for (queue,) in await session.ask("queues")]


async def is_queue_paused(session: Session, queue: str) -> bool:
    """Whether the queue is paused."""
    [(paused,)] = await session.ask("is_paused", queue=queue)
    return bool(paused)


async def workers(session: Session) -> list[Presence]:
    """Return the workers whose last renewal is not older than their lease."""
    return [
        Presence(worker=worker, name=name, host=host, slots=slots, lease=lease, leaving=leaving)
        for worker, name, host, slots, lease, leaving in await session.ask("workers")
    ]
