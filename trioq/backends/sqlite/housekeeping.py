"""Pause, resume, remove and prune, as work inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ..._core.job import DEAD, DONE, State
from .._base import FORGOTTEN, Hint, Retention
from .group_commit import Transaction
from .queries import SQL
from .writes import as_json


def pause(tx: Transaction, queue: str) -> float:
    """Note that the queue hands out nothing."""
    tx.db.execute(SQL["pause"], (queue,))
    tx.notify(Hint.PAUSED, queue)
    return tx.now


def resume(tx: Transaction, queue: str) -> float:
    """Note that the queue hands out jobs again."""
    tx.db.execute(SQL["resume"], (queue,))
    tx.notify(Hint.PAUSED | Hint.READY, queue)
    return tx.now


def remove(tx: Transaction, queue: str, ids: Sequence[str]) -> list[bool]:
    """Drop records that no worker holds."""
    return [_remove(tx, queue, id) for id in ids]


def _remove(tx: Transaction, queue: str, id: str) -> bool:
    row = tx.db.execute(SQL["removable"], (queue, id)).fetchone()
    if row is not None:
        _drop(tx.db, list(row))
    return row is not None


def prune(tx: Transaction, queues: Sequence[str], limits: Retention, batch: int) -> int:
    """Drop the oldest ended jobs of these queues, by age and by number; forget workers that are long gone."""
    tx.db.execute(SQL["forget_workers"], (tx.now - FORGOTTEN,))
    kinds = (
        (DONE, limits.keep_completed, limits.keep_completed_max),
        (DEAD, limits.keep_dead, limits.keep_dead_max),
    )
    dropped = 0
    for queue in queues:
        for states, keep, most in kinds:
            dropped += _drop_oldest(tx.db, queue, states, tx.now - keep, batch - dropped)
            excess = _count_over(tx.db, queue, states, most, batch - dropped)
            dropped += _drop_oldest(tx.db, queue, states, float("inf"), excess)
    return dropped


def _count_over(db: sqlite3.Connection, queue: str, states: frozenset[State], most: int, limit: int) -> int:
    """Return how many jobs there are above *most*, up to *limit*.  Count only where there could be so many."""
    (span,) = db.execute(SQL["span"]).fetchone()
    if limit <= 0 or span is None or span <= most:
        return 0
    there = 0
    for state in states:
        (count,) = db.execute(SQL["count_final_state"], (queue, state.value, most + limit - there)).fetchone()
        there += count
    return max(0, there - most)


def _drop_oldest(db: sqlite3.Connection, queue: str, states: frozenset[State], until: float, most: int) -> int:
    """Drop jobs that ended by *until*, the longest ago first."""
    if most <= 0:
        return 0
    ended: list[tuple[float, int]] = []
    for state in states:
        ended += db.execute(SQL["oldest_final"], (queue, state.value, until, most))
    oldest = [seq for _, seq in sorted(ended)[:most]]
    _drop(db, oldest)
    return len(oldest)


def _drop(db: sqlite3.Connection, records: Sequence[int]) -> None:
    if records:
        db.execute(SQL["delete_jobs"], (as_json(records),))
        db.execute(SQL["delete_bodies"], (as_json(records),))
