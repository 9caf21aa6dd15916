"""The read verbs, and those that tidy records, over a session.  No Trio; the write verbs are in ``writes``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..._core.job import DEAD, Job, State
from .._base import PAGE, Filter, Found, Hint, Overdue, Page, Presence, Retention
from .rows import read_job, states_by_count

if TYPE_CHECKING:
    from .session import Session

#: A worker's presence is dropped after so many seconds without a renewal.
_FORGOTTEN: Final = 86_400.0

_ENDED: Final = frozenset(state for state in State if state.final) - DEAD


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


async def pause(session: Session, queue: str) -> float:
    """Note that the queue hands out nothing."""
    return await _toggle(session, "pause", queue, PAUSED)


async def resume(session: Session, queue: str) -> float:
    """Note that the queue hands out jobs again."""
    return await _toggle(session, "resume", queue, RESUMED)


#: The hints of a pause, and of a resume.
PAUSED: Final = Hint.PAUSED
RESUMED: Final = Hint.PAUSED | Hint.READY


async def _toggle(session: Session, name: str, queue: str, hint: Hint) -> float:
    message = f"{hint.value} {session.terms.sender} {queue}"
    answer = await session.ask(name, queue=queue, message=message)
    now: float = answer[0][0]
    return now


async def is_queue_paused(session: Session, queue: str) -> bool:
    """Whether the queue is paused."""
    [(paused,)] = await session.ask("is_paused", queue=queue)
    return bool(paused)


async def remove(session: Session, queue: str, ids: Sequence[str]) -> list[bool]:
    """Drop records that no worker holds."""
    gone = {id for (id,) in await session.ask("remove", queue=queue, ids=list(dict.fromkeys(ids)))}
    firsts = {id: place for place, id in reversed(list(enumerate(ids)))}
    return [id in gone and firsts[id] == place for place, id in enumerate(ids)]


async def prune(session: Session, limits: Retention, batch: int) -> int:
    """Drop the oldest ended jobs, by age and by number in each queue; forget workers that are long gone."""
    [(dropped,)] = await session.ask(
        "prune",
        batch=batch,
        forgotten=_FORGOTTEN,
        ended=sorted(state.value for state in _ENDED),
        keep_ended=limits.keep_completed,
        most_ended=limits.keep_completed_max,
        dead=sorted(state.value for state in DEAD),
        keep_dead=limits.keep_dead,
        most_dead=limits.keep_dead_max,
    )
    return int(dropped)


async def workers(session: Session) -> list[Presence]:
    """Return the workers whose last renewal is not older than their lease."""
    return [
        Presence(worker=worker, name=name, host=host, slots=slots, lease=lease, leaving=leaving)
        for worker, name, host, slots, lease, leaving in await session.ask("workers")
    ]
