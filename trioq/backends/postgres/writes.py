"""The write verbs, over a session: insert, claim, renew.  No Trio; settle has a file of its own.

Each is one statement, when all goes well.  A statement sees nothing that was committed after it had begun, and nothing
of what it writes itself.  What it can't know for that reason is asked in a second one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from ..._core.errors import BackendUnavailable
from ..._core.job import Job, State
from ..._core.lifecycle import stamp
from .._base import PROMOTIONS, Claimed, Hint, Inserted, Lease, Loss, Presence, Renewed
from . import rows

if TYPE_CHECKING:
    from .session import Session

QueueHints = dict[str, Hint]

#: A job, and its place in the batch.
Placed = tuple[int, Job]

#: How often an insert is tried for jobs whose ids and keys come and go meanwhile.
_TRIES: Final = 10


# --- insert -------------------------------------------------------------------------------------


async def insert(session: Session, jobs: Sequence[Job]) -> tuple[Inserted, QueueHints]:
    """Add jobs; for those whose id or key is taken, return the job that has it.

    A job that shares its id or its key with one before it in the batch waits for the outcome of that one.  Its seq does
    not wait: those of a batch grow.  Such a batch may take more than one statement, so it is a transaction: no other
    client finds half of it.  Where it collides with others and is done again, its first half was undone.
    """
    firsts, others = _apart(enumerate(jobs))
    async with session.transaction() if others else nullcontext():
        return await _insert_all(session, jobs, firsts, others)


async def _insert_all(
    session: Session, jobs: Sequence[Job], firsts: Sequence[Placed], others: Sequence[Placed]
) -> tuple[Inserted, QueueHints]:
    """Add *firsts*, and then those of the *others* whose ids and keys no job has by then."""
    stored: list[Job] = list(jobs)
    created = [False] * len(jobs)
    reserved: Sequence[int] = ()
    if others:
        reserved = [seq for (seq,) in await session.ask("reserve", count=len(jobs))]
    now, stuck = 0.0, 0  # rounds in a row that decided about no job
    while stuck < _TRIES:
        now, seqs = await _insert(session, firsts, reserved)
        for n, job in firsts:
            if n in seqs:
                stored[n], created[n] = stamp(job, seqs[n], now), True
        before, left = len(firsts) + len(others), sorted([*((n, job) for n, job in firsts if n not in seqs), *others])
        if left:
            known = await _known(session, left)
            stored = [known.get(n, job) for n, job in enumerate(stored)]
            left = [(n, job) for n, job in left if n not in known]
        if not left:
            break
        stuck = stuck + 1 if len(left) == before else 0
        firsts, others = _apart(left)
    else:
        raise BackendUnavailable("the ids or unique keys of these jobs come and go. Try again")
    queues = {job.queue for job, new in zip(jobs, created, strict=True) if new}
    return Inserted(now, stored, created), dict.fromkeys(queues, Hint.READY)


def _apart(jobs: Iterable[Placed]) -> tuple[list[Placed], list[Placed]]:
    """Return the jobs whose ids and keys none before them has, and the others."""
    seen: set[tuple[str, str, str]] = set()
    firsts: list[Placed] = []
    others: list[Placed] = []
    for n, job in jobs:
        names = _names(job)
        (firsts if seen.isdisjoint(names) else others).append((n, job))
        seen |= names
    return firsts, others


def _names(job: Job) -> set[tuple[str, str, str]]:
    """Return what no other job may have: the id, and the unique key if there is one."""
    names = {("id", job.queue, job.id)}
    if job.unique_key is not None:
        names.add(("key", job.queue, job.unique_key))
    return names


async def _insert(session: Session, jobs: Sequence[Placed], reserved: Sequence[int]) -> tuple[float, dict[int, int]]:
    """Add these jobs; return the store's now, and the seqs of those that were added, by their places."""
    items = [rows.new_item(n, job) for n, job in jobs]
    for item in items if reserved else ():
        item["reserved"] = reserved[item["n"]]
    answer = await session.ask(
        "insert",
        jobs=rows.document(items),
        notifies=session.notifies,
        carried="\n".join(session.carried),
        ready=f"{Hint.READY.value} {session.terms.sender} ",
    )
    [(now, _, seqs, created)] = answer
    new = set(created)
    return now, {n: seq for (n, _), seq in zip(jobs, seqs, strict=True) if seq in new}


async def _known(session: Session, jobs: Sequence[Placed]) -> dict[int, Job]:
    """Return the jobs that have their ids or keys, by place; none yet where a job still to be added shares one."""
    asked = [{"n": n, "queue": job.queue, "id": job.id, "unique_key": job.unique_key} for n, job in jobs]
    found = {n: rows.read_job(record) for n, *record in await session.ask("known", jobs=rows.document(asked))}
    waiting: set[tuple[str, str, str]] = set()
    for n, job in jobs:
        if n not in found or not waiting.isdisjoint(_names(job)):
            found.pop(n, None)
            waiting |= _names(job)
    return found


# --- claim --------------------------------------------------------------------------------------


async def claim(session: Session, queues: Sequence[str], limit: int, worker: str, lease: float, idle: bool) -> Claimed:
    """Lease ready jobs.  Where some have come due since, these are made ready first."""
    asked = list(dict.fromkeys(queues))
    values = {"queues": "\n".join(asked), "limit": limit, "worker": worker, "lease": lease, "idle": idle}
    answer = await session.ask("claim", **values, promoted=False)
    now, next_due, *_ = answer[0]
    if next_due is not None and next_due <= now:
        promoting = ("promote", {"queues": values["queues"], "promotions": PROMOTIONS})
        answer = (await session.ask_all(promoting, ("claim", {**values, "promoted": True})))[-1]
    now, next_due, last_life, paused, *_ = answer[0]
    jobs = [rows.read_job(record) for _, _, _, _, *record in answer if record[0] is not None]
    return Claimed(now, jobs, next_due, frozenset(paused), last_life)


# --- renew --------------------------------------------------------------------------------------


async def renew(session: Session, worker: Presence, leases: Sequence[Lease]) -> Renewed:
    """Extend leases, note the worker's presence, and return the lost leases and those that were not listed."""
    listed = _last_progress(leases)
    answer = await session.ask(
        "renew",
        leases=rows.document(
            [
                {"n": n, "queue": it.queue, "id": it.id, "run": it.run, "progress": rows.pack_progress(progress)}
                for n, (it, progress) in enumerate(listed.items())
            ]
        ),
        worker=worker.worker,
        name=worker.name,
        host=worker.host,
        slots=worker.slots,
        lease=worker.lease,
        leaving=worker.leaving,
    )
    now = next(row[0] for row in answer if row[0] is not None)
    found = {n: (kept, state, run) for _, n, kept, state, run, _, _ in answer if n is not None}
    lost = {lease: _loss(found.get(n), lease) for n, lease in enumerate(listed) if not found.get(n, (False,))[0]}
    names = {(lease.queue, lease.id) for lease in listed}
    return Renewed(now, lost, [(queue, id) for *_, queue, id in answer if id is not None and (queue, id) not in names])


def _last_progress(leases: Iterable[Lease]) -> Mapping[Lease, Any]:
    """Return each lease once, with its last progress: a statement changes a row no more than once."""
    listed: dict[Lease, Any] = {}
    for lease in leases:
        if lease.progress is not None or lease not in listed:
            listed[lease] = lease.progress
    return listed


def _loss(found: tuple[bool, str, int] | None, lease: Lease) -> Loss:
    if found is None:
        return Loss.GONE
    return Loss.CANCELLED if found[1:] == (State.CANCELLED.value, lease.run) else Loss.RECLAIMED
