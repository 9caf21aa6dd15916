"""Pause, resume, remove and prune, over a session.  No Trio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..._core.job import DEAD, DONE
from .._base import FORGOTTEN, Hint, Retention

if TYPE_CHECKING:
    from .session import Session

#: The hints of a pause, and of a resume.
PAUSED: Final = Hint.PAUSED
RESUMED: Final = Hint.PAUSED | Hint.READY


async def pause(session: Session, queue: str) -> float:
    """Note that the queue hands out nothing."""
    return await _toggle(session, "pause", queue, PAUSED)


async def resume(session: Session, queue: str) -> float:
    """Note that the queue hands out jobs again."""
    return await _toggle(session, "resume", queue, RESUMED)


async def _toggle(session: Session, name: str, queue: str, hint: Hint) -> float:
    message = f"{hint.value} {session.terms.sender} {queue}"
    answer = await session.ask(name, queue=queue, message=message)
    now: float = answer[0][0]
    return now


async def remove(session: Session, queue: str, ids: Sequence[str]) -> list[bool]:
    """Drop records that no worker holds."""
    gone = {id for (id,) in await session.ask("remove", queue=queue, ids=list(dict.fromkeys(ids)))}
    firsts = {id: place for place, id in reversed(list(enumerate(ids)))}
    return [id in gone and firsts[id] == place for place, id in enumerate(ids)]


async def prune(session: Session, queues: Sequence[str], limits: Retention, batch: int) -> int:
    """Drop the oldest ended jobs of these queues, by age and then by number; forget workers that are long gone.

    Only the last batch counts how many there are: a count may read as many records as are kept.
    """
    values = {
        "queues": "\n".join(dict.fromkeys(queues)),
        "ended": sorted(state.value for state in DONE),
        "dead": sorted(state.value for state in DEAD),
    }
    ages = {"keep_ended": limits.keep_completed, "keep_dead": limits.keep_dead}
    [(old,)] = await session.ask("prune", **values, **ages, batch=batch, forgotten=FORGOTTEN)
    if old >= batch:
        return int(old)
    numbers = {"most_ended": limits.keep_completed_max, "most_dead": limits.keep_dead_max}
    [(too_many,)] = await session.ask("prune_excess", **values, **numbers, batch=batch - old)
    return int(old + too_many)
