"""The read verbs: what each asks of its script, and what the answer means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from ..._core.job import State
from .._base import PAGE, Filter, Found, Overdue, Page, Presence
from . import rows
from .keys import queue_named
from .rows import integer
from .scripts import SCRIPTS
from .writes import Ask, read_presence, read_records

#: A request about no queue names a key all the same: else a cluster would not redirect it before something was written.
ALL_QUEUES: Final = ("",)


def overdue(limit: int) -> Ask:
    """Ask for the jobs of all queues whose lease or time to live ran out."""
    return Ask(SCRIPTS["overdue"], ALL_QUEUES, [limit])


def found_overdue(reply: Sequence[Any]) -> Overdue:
    """Read the overdue jobs."""
    jobs = (rows.read_job(queue_named(queue), id.decode(), pairs) for queue, id, pairs in reply[1])
    return Overdue(float(reply[0]), [job for job in jobs if job is not None])


def get(queue: str, ids: Sequence[str]) -> Ask:
    """Ask for jobs by id."""
    return Ask(SCRIPTS["get"], [queue], [[id.encode() for id in ids]])


def got(ask: Ask, reply: Sequence[Any]) -> Found:
    """Read for each id its job, or None."""
    return Found(float(reply[0]), list(read_records(ask.queues, reply[1])))


def live(queue: str, ids: Sequence[str]) -> Ask:
    """Ask for each id whether its job is there and has not ended."""
    return Ask(SCRIPTS["live"], [queue], [[id.encode() for id in ids]])


def find(filter: Filter, cursor: int | None, limit: int) -> Ask:
    """Ask for a page of the matching jobs."""
    states = sorted(filter.states)
    return Ask(
        SCRIPTS["find"],
        [filter.queue],
        [
            b"-inf" if cursor is None else integer(cursor),
            limit,
            PAGE,
            b"" if filter.task is None else filter.task.encode(),
            integer(any(not state.final for state in states)),
            integer(any(state.final for state in states)),
            [state.value.encode() for state in states],
        ],
    )


def page(ask: Ask, reply: Sequence[Any]) -> Page:
    """Read the page."""
    jobs = [job for job in read_records(ask.queues, reply[1]) if job is not None]
    return Page(float(reply[0]), jobs, int(reply[2]) if reply[2] else None)


def look(queue: str) -> Ask:
    """Ask for a queue's counts, and whether it is paused."""
    return Ask(SCRIPTS["look"], [queue])


def counts(reply: Sequence[Any]) -> dict[State, int]:
    """Read how many jobs are in each state."""
    return rows.states_by_count(reply[0])


def is_paused(reply: Sequence[Any]) -> bool:
    """Read whether the queue is paused."""
    return bool(reply[1])


def queues() -> Ask:
    """Ask for the queues that have a record or are paused."""
    return Ask(SCRIPTS["queues"], ALL_QUEUES)


def queue_names(reply: Sequence[bytes]) -> list[str]:
    """Read their names."""
    return sorted(queue_named(name) for name in reply)


def workers() -> Ask:
    """Ask for the workers that have renewed."""
    return Ask(SCRIPTS["workers"], ALL_QUEUES)


def presences(reply: Sequence[bytes | Literal[False]]) -> list[Presence]:
    """Read what they say of themselves."""
    return [read_presence(told) for told in reply if told]
