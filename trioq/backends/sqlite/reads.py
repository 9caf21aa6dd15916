"""The read verbs, as work inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec

from ..._core.job import Job, Shelf, State
from .._base import PAGE, Filter, Found, Overdue, Page, Presence
from .group_commit import Transaction
from .queries import SQL
from .rows import read_job, states_by_count

#: The end of the last page.
_LAST_SEQ = 2**63 - 1


def overdue(tx: Transaction, limit: int) -> Overdue:
    """Return jobs whose lease ran out, then jobs whose time to live did."""
    rows = tx.db.execute(SQL["overdue_leases"], (tx.now, limit)).fetchall()
    rows += tx.db.execute(SQL["overdue_ttls"], (tx.now, limit - len(rows))).fetchall()
    return Overdue(tx.now, [read_job(row) for row in rows])


def get(tx: Transaction, queue: str, ids: Sequence[str]) -> Found:
    """Return jobs by id."""
    rows = (tx.db.execute(SQL["by_id"], (queue, id)).fetchone() for id in ids)
    return Found(tx.now, [read_job(row) if row else None for row in rows])


def have_ended(tx: Transaction, queue: str, ids: Sequence[str]) -> list[bool]:
    """Return whether each job is final or gone, without reading its body."""
    return [tx.db.execute(SQL["is_live"], (queue, id)).fetchone() is None for id in ids]


def find(tx: Transaction, filter: Filter, cursor: int | None, limit: int) -> Page:
    """Return the matching jobs among the next PAGE records of the file."""
    start = cursor or 0
    end = tx.db.execute(SQL["page_end"], (start, PAGE - 1)).fetchone()
    states = msgspec.json.encode(sorted(filter.states)).decode()
    bounds = (start, end[0] if end else _LAST_SEQ)
    jobs: list[Job] = [
        read_job(row) for row in tx.db.execute(SQL["page"], (*bounds, filter.queue, states, filter.task, limit))
    ]
    if len(jobs) == limit:
        return Page(tx.now, jobs, jobs[-1].seq if jobs else start)
    return Page(tx.now, jobs, end[0] if end else None)


def counts(tx: Transaction, queue: str) -> dict[State, int]:
    """Count by state over the indexes, a shelf at a time: no record is read."""
    found = dict.fromkeys(State, 0)
    promoted = list(states_by_count(tx.db.execute(SQL["count_promoted"], (queue,)), Shelf.READY))
    (ready,) = tx.db.execute(SQL["count_ready"], (queue,)).fetchone()
    found[State.WAITING] = ready - sum(count for _, count in promoted)
    for state, count in promoted:
        found[state] += count
    for state, name in _COUNTED:
        found[state] += tx.db.execute(SQL[name], (queue,)).fetchone()[0]
    for state, count in states_by_count(tx.db.execute(SQL["count_final"], (queue,)), Shelf.FINAL):
        found[state] += count
    return found


_COUNTED = ((State.DELAYED, "count_timed"), (State.ACTIVE, "count_held"), (State.BLOCKED, "count_parked"))


def queues(tx: Transaction) -> list[str]:
    """Return each name once, by skipping from one to the next."""
    return sorted({*_with_records(tx.db), *(queue for (queue,) in tx.db.execute(SQL["paused"]))})


def _with_records(db: sqlite3.Connection) -> Iterator[str]:
    queue = ""
    while (row := db.execute(SQL["queue_after"], (queue,)).fetchone()) and row[0] is not None:
        queue = row[0]
        yield queue


def is_queue_paused(tx: Transaction, queue: str) -> bool:
    """Whether the queue is paused."""
    return tx.db.execute(SQL["is_paused"], (queue,)).fetchone() is not None


def workers(tx: Transaction) -> list[Presence]:
    """Return the workers whose last renewal is not older than their lease."""
    return [
        Presence(worker=worker, name=name, host=host, slots=slots, lease=lease, leaving=bool(leaving))
        for worker, name, host, slots, lease, leaving in tx.db.execute(SQL["workers"], (tx.now,))
    ]
