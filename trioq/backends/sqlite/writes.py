"""The write verbs, as work inside a transaction: insert, claim, settle, renew.  No Trio, no commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import Any

import msgspec

from ..._core.job import Job, State
from ..._core.lifecycle import Change, stamp
from .._base import PROMOTIONS, Claimed, Hint, Inserted, Lease, Loss, Presence, Renewed, Settled, Verdict
from . import queries
from .errors import takes_key
from .group_commit import Transaction
from .queries import SQL
from .rows import body_row, changed_columns, job_row, pack_progress, read_job


def as_json(values: Sequence[Any]) -> str:
    """Encode a list as one bound value, so that a single statement serves all its items."""
    return msgspec.json.encode(values).decode()


# --- insert -------------------------------------------------------------------------------------


def insert(tx: Transaction, jobs: Sequence[Job]) -> Inserted:
    """Add jobs; for those whose id or key is taken, return the job that has it."""
    last = tx.db.execute(SQL["last_seq"]).fetchone()
    before = last[0] if last else 0
    stamped = [stamp(job, seq, tx.now) for seq, job in enumerate(jobs, before + 1)]
    made = tx.db.executemany(SQL["insert_job"], map(job_row, stamped)).rowcount if stamped else 0
    if made == len(stamped):
        created = [True] * made
    else:
        new = {seq for (seq,) in tx.db.execute(SQL["inserted"], (before,))}
        created = [job.seq in new for job in stamped]
    tx.db.executemany(SQL["insert_body"], (body_row(job) for job, new in zip(stamped, created, strict=True) if new))
    for queue in {job.queue for job, new in zip(stamped, created, strict=True) if new}:
        tx.notify(Hint.READY, queue)
    answer = [job if new else _known(tx, job) for job, new in zip(stamped, created, strict=True)]
    return Inserted(tx.now, answer, created)


def _known(tx: Transaction, job: Job) -> Job:
    """Return the job that has the id, or else the unique key; never one that comes later in the batch than *job*."""
    row = tx.db.execute(SQL["by_id"], (job.queue, job.id)).fetchone()
    known = read_job(row) if row else None
    if known is not None and known.seq < job.seq:
        return known
    return read_job(tx.db.execute(SQL["by_key"], (job.queue, job.unique_key)).fetchone())


# --- claim --------------------------------------------------------------------------------------


def claim(tx: Transaction, queues: Sequence[str], limit: int, worker: str, lease: float, idle: bool) -> Claimed:
    """Lease ready jobs; one on its last life goes first, and alone."""
    closed = {queue for (queue,) in tx.db.execute(SQL["paused"])}
    asked = [queue for queue in dict.fromkeys(queues) if queue not in closed]
    next_due = _promote(tx, asked)
    found = _last_life(tx, asked) if idle and limit > 0 else []
    if not found:
        for queue in asked:
            if len(found) >= limit:
                break
            found += tx.db.execute(SQL["ready"], (queue, limit - len(found))).fetchall()
    jobs = [read_job(row) for row in found]
    until = tx.now + lease
    if jobs:
        tx.db.execute(SQL["lease"], (worker, until, tx.now, as_json([job.seq for job in jobs])))
    return Claimed(
        tx.now,
        [_claimed(job, worker, until, tx.now) for job in jobs],
        next_due=next_due,
        paused=frozenset(closed.intersection(queues)),
        last_life=any(tx.db.execute(SQL["has_last_life"], (queue,)).fetchone() for queue in asked),
    )


def _claimed(job: Job, worker: str, until: float, now: float) -> Job:
    """Do the Claim step as SQL["lease"] has stored it.  The conformance checks compare it with the pure step."""
    return job.having(
        {
            "state": State.ACTIVE,
            "version": job.version + 1,
            "run": job.run + 1,
            "worker": worker,
            "lease_until": until,
            "started_at": now,
        }
    )


def _promote(tx: Transaction, queues: Sequence[str]) -> float | None:
    """Make due jobs ready, and return when the next comes due."""
    left, due = PROMOTIONS, []
    for queue in queues:
        (at,) = tx.db.execute(SQL["next_due"], (queue,)).fetchone()
        if at is not None and at <= tx.now and left:
            left -= tx.db.execute(SQL["promote"], (queue, tx.now, left)).rowcount
            (at,) = tx.db.execute(SQL["next_due"], (queue,)).fetchone()
        if at is not None:
            due.append(at)
    return min(due, default=None)


def _last_life(tx: Transaction, queues: Sequence[str]) -> list[tuple[object, ...]]:
    for queue in queues:
        row = tx.db.execute(SQL["ready_last_life"], (queue,)).fetchone()
        if row:
            return [row]
    return []


# --- settle -------------------------------------------------------------------------------------


class _NotStored(Exception):
    """A part of a composite change can't be stored: undo the other parts."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


def settle(tx: Transaction, changes: Sequence[Change]) -> Settled:
    """Compare and swap each change."""
    verdicts: list[Verdict] = []
    for _, alike in groupby(changes, _all_but_result):
        verdicts += _settle_alike(tx, list(alike))
    return Settled(tx.now, verdicts)


def _all_but_result(change: Change) -> object:
    """Return a key that changes share where runs returned and only the results differ; any other change equals none."""
    alone = change.also or change.inserts or change.lease_until is not None
    if alone or not isinstance(change.fields.get("result"), bytes):
        return object()
    return change.queue, change.version, change.fields | {"result": None}


def _settle_alike(tx: Transaction, changes: Sequence[Change]) -> Sequence[Verdict]:
    """Store all in one statement; if it misses any, use one for each: what is stored by then answers stored."""
    jobs = len({change.seq for change in changes})  # of two changes of one job, the first is to win
    if jobs == len(changes) > 1 and _swap_alike(tx, changes) == jobs:
        return [Verdict.STORED] * jobs
    return [_settle(tx, change) for change in changes]


def _swap_alike(tx: Transaction, changes: Sequence[Change]) -> int:
    """Store steps that differ only in their results, and return how many were stored."""
    first = changes[0]
    columns, values = changed_columns({name: value for name, value in first.fields.items() if name != "result"})
    results = [change.fields["result"] for change in changes]
    lengths = [len(result) for result in results]
    places = zip(accumulate(lengths, initial=1), lengths, strict=False)
    jobs = [(change.seq, change.id, *place) for change, place in zip(changes, places, strict=True)]
    bound = (*values, b"".join(results), as_json(jobs), first.queue, first.version)
    swapped = tx.db.execute(queries.settle("settle_returned", columns), bound).rowcount
    if swapped:
        tx.notify(_hint(first.state, was_held=False), first.queue)
    return swapped


def _settle(tx: Transaction, change: Change) -> Verdict:
    if not change.also and not change.inserts:
        return _swap(tx, change)[0]
    tx.db.execute("SAVEPOINT whole")
    try:
        _settle_whole(tx, change)
    except _NotStored as failed:
        tx.db.execute("ROLLBACK TO whole")
        return failed.verdict
    finally:
        if tx.db.in_transaction:
            tx.db.execute("RELEASE whole")
    return Verdict.STORED


def _settle_whole(tx: Transaction, change: Change) -> None:
    repeats = []
    for part in (change, *change.also):
        verdict, repeated = _swap(tx, part)
        if verdict is not Verdict.STORED:
            raise _NotStored(verdict)
        repeats.append(repeated)
    if all(repeats):
        return
    if any(repeats):
        raise _NotStored(Verdict.STALE)
    added = insert(tx, change.inserts)
    for wanted, job, new in zip(change.inserts, added.jobs, added.created, strict=True):
        if not new:
            raise _NotStored(Verdict.STALE if job.id == wanted.id else Verdict.KEY_TAKEN)


def _swap(tx: Transaction, change: Change) -> tuple[Verdict, bool]:
    """Store one step; return the verdict, and whether it had been stored before."""
    columns, values = changed_columns(change.fields)
    was_held = change.state is State.CANCELLED and tx.db.execute(SQL["shelf"], (change.seq,)).fetchone() == ("held",)
    compared = [change.seq, change.queue, change.id, change.version]
    compares_lease = change.lease_until is not None
    if compares_lease:
        compared.append(change.lease_until)
    try:
        statement = queries.settle("settle_lease" if compares_lease else "settle", columns)
        swapped = tx.db.execute(statement, (*values, *compared)).rowcount
    except sqlite3.IntegrityError as error:
        if takes_key(error):
            return Verdict.KEY_TAKEN, False
        raise
    if swapped:
        tx.notify(_hint(change.state, was_held), change.queue)
        return Verdict.STORED, False
    # The shelf is not compared: when the job came due, a claim may have changed it, which is no step.
    kept = {column: value for column, value in zip(columns, values, strict=True) if column != "shelf"}
    row = tx.db.execute(queries.stored(tuple(kept)), compared[:3]).fetchone()
    repeated = row == tuple(kept.values())
    return (Verdict.STORED if repeated else Verdict.STALE), repeated


def _hint(state: State, was_held: bool) -> Hint:
    if not state.final:
        return Hint.READY
    return Hint.FINISHED | Hint.CANCELLED if was_held else Hint.FINISHED


# --- renew --------------------------------------------------------------------------------------


def renew(tx: Transaction, worker: Presence, leases: Sequence[Lease]) -> Renewed:
    """Extend leases, note the worker's presence, and return the lost leases and those that were not listed."""
    until = tx.now + worker.lease
    tx.db.execute(
        SQL["presence"],
        (worker.worker, worker.name, worker.host, worker.slots, worker.lease, worker.leaving, until),
    )
    lost = dict(_renewals(tx, leases, until))
    listed = {(lease.queue, lease.id) for lease in leases}
    held = tx.db.execute(SQL["held_by"], (worker.worker,)).fetchall()
    return Renewed(tx.now, lost, [lease for lease in held if lease not in listed])


def _renewals(tx: Transaction, leases: Sequence[Lease], until: float) -> Iterator[tuple[Lease, Loss]]:
    for lease in leases:
        key = (lease.queue, lease.id, lease.run)
        if not tx.db.execute(SQL["renew"], (until, pack_progress(lease.progress), *key)).rowcount:
            yield lease, _loss(tx.db.execute(SQL["outcome"], key[:2]).fetchone(), lease)


def _loss(row: tuple[str, int] | None, lease: Lease) -> Loss:
    if row is None:
        return Loss.GONE
    return Loss.CANCELLED if row == (State.CANCELLED.value, lease.run) else Loss.RECLAIMED
