"""Settle, over a session: compare and swap.  No Trio.

Simple changes go in one statement.  The parts of a composite change follow each other, in a transaction that is undone
where one of them can't be stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from ..._core.job import Job, State
from ..._core.lifecycle import Change
from .._base import Hint, Settled, Verdict
from .rows import change_item, document, is_stored, read_job
from .writes import QueueHints, insert

if TYPE_CHECKING:
    from .session import Session

#: A change, and its place in the batch.
Placed = tuple[int, Change]

_UNIQUE_VIOLATION: Final = "23505"


async def settle(session: Session, changes: Sequence[Change]) -> tuple[Settled, QueueHints]:
    """Compare and swap each change.

    A reclaim of a job that another transaction has locked is left for later, as stale: it holds up no other reclaim.
    """
    locked = await _locked_reclaims(session, changes)
    placed = [each for each in enumerate(changes) if each[0] not in locked]
    batches = [list(batch) for _, batch in groupby(placed, _kind)]
    settling = _Settling(session, len(changes), nested=len(batches) > 1)
    async with session.transaction() if settling.nested else nullcontext():
        if settling.nested:
            await settling.lock([change for _, change in placed])
        for batch in batches or [[]]:
            await settling.store(batch)
    await settling.look_at([(n, changes[n]) for n in locked])
    return Settled(settling.now, settling.verdicts), settling.queue_hints


async def _locked_reclaims(session: Session, changes: Sequence[Change]) -> set[int]:
    """Return the places of the reclaims whose jobs another transaction has locked, or that are gone."""
    reclaims = {n: change for n, change in enumerate(changes) if change.lease_until is not None}
    if not reclaims:
        return set()
    unlocked = set(await session.ask("unlocked", **_keys(reclaims.values())))
    return {n for n, change in reclaims.items() if (change.queue, change.seq) not in unlocked}


def _keys(changes: Iterable[Change]) -> dict[str, list[Any]]:
    """Return the keys of the jobs of these changes, each once, as values of a statement."""
    queues, ids, seqs = zip(*{(change.queue, change.id, change.seq) for change in changes}, strict=True)
    return {"queues": list(queues), "ids": list(ids), "seqs": list(seqs)}


def _kind(placed: Placed) -> tuple[int, bool]:
    """Return a key that changes share if one statement may store them.

    A composite change goes alone, and a change that may take a unique key with its like.
    """
    n, change = placed
    return (n + 1 if _is_whole(change) else 0, _revives(change))


def _is_whole(change: Change) -> bool:
    return bool(change.also or change.inserts)


def _revives(change: Change) -> bool:
    """Whether the change brings an ended job to life: no other change takes a unique key."""
    return change.fields.get("finished_at", 0) is None


#: The hint of a change to each state, as a number: flags are slow, and there is a hint for each change.
_BITS: Final = {state: (Hint.FINISHED if state.final else Hint.READY).value for state in State}
_BITS[State.CANCELLED] |= Hint.CANCELLED.value


class _NotStored(Exception):
    """A part of a composite change can't be stored: undo the other parts."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


class _Settling:
    """Stores a batch, and keeps its outcome so far."""

    def __init__(self, session: Session, count: int, nested: bool) -> None:
        self.now = 0.0
        self.verdicts = [Verdict.STALE] * count
        self._bits: dict[str, int] = {}
        self.nested = nested  #: whether it goes on inside a transaction
        self._session = session

    @property
    def queue_hints(self) -> QueueHints:
        """The hints to send, by queue."""
        return {queue: Hint(bits) for queue, bits in self._bits.items()}

    async def lock(self, changes: Sequence[Change]) -> None:
        """Lock all jobs that a transaction writes, before it writes the first: in one order, so that none deadlocks."""
        await self._session.ask("lock", **_keys(part for change in changes for part in (change, *change.also)))

    async def store(self, batch: Sequence[Placed]) -> None:
        """Store changes of one kind."""
        if not batch:
            self.now, _ = await self._swap(batch)
        elif _is_whole(batch[0][1]):
            await self._store_whole(*batch[0])
        elif _revives(batch[0][1]):
            await self._revive(batch)
        else:
            await self._store_each(batch)

    # -- simple changes --

    async def _store_each(self, left: Sequence[Placed]) -> None:
        """Swap the first change of each job, then the next: each is judged by what those before it have left."""
        while left:
            firsts, left = _apart(left)
            self.now, swapped = await self._swap(firsts)
            for n, change in firsts:
                if n in swapped:
                    self.verdicts[n] = Verdict.STORED
                    self._bits[change.queue] = self._bits.get(change.queue, 0) | swapped[n]
            await self.look_at([(n, change) for n, change in firsts if n not in swapped])

    async def look_at(self, refused: Sequence[Placed]) -> None:
        """Note why these were not stored: another has been, or it was this one, before."""
        jobs = await self._look(refused)
        for n, change in refused:
            self.verdicts[n] = _refusal(change, jobs.get((change.queue, change.seq)))

    async def _revive(self, batch: Sequence[Placed]) -> None:
        """Store them as a batch; where two want one key, or another client has just taken one, each by itself."""
        try:
            async with self._session.transaction() if self.nested else nullcontext():
                await self._store_each(batch)
        except Exception as error:
            if not _takes_key(error):
                raise
            if len(batch) > 1:
                for each in batch:
                    await self._revive([each])
            else:
                self.verdicts[batch[0][0]] = Verdict.KEY_TAKEN

    # -- composite changes --

    async def _store_whole(self, n: int, change: Change) -> None:
        try:
            async with self._session.transaction():
                if change.also and not self.nested:
                    await self.lock([change])
                queue_hints = await self._store_parts(change)
        except _NotStored as failed:
            self.verdicts[n] = failed.verdict
        except Exception as error:
            if not _takes_key(error):
                raise
            self.verdicts[n] = Verdict.KEY_TAKEN
        else:
            self.verdicts[n] = Verdict.STORED
            for queue, bits in queue_hints:
                self._bits[queue] = self._bits.get(queue, 0) | bits

    async def _store_parts(self, change: Change) -> list[tuple[str, int]]:
        """Store each part after the one before, and return the hints."""
        queue_hints: list[tuple[str, int]] = []
        for part in (change, *change.also):
            self.now, swapped = await self._swap([(0, part)])
            if not swapped:
                verdict = _refusal(part, (await self._look([(0, part)])).get((part.queue, part.seq)))
                if verdict is not Verdict.STORED:
                    raise _NotStored(verdict)
            queue_hints += [(part.queue, bits) for bits in swapped.values()]
        if len(queue_hints) <= len(change.also):  # some have been stored before: then all must have been
            if queue_hints:
                raise _NotStored(Verdict.STALE)
            return []
        added, hints = await insert(self._session, change.inserts)
        for wanted, job, new in zip(change.inserts, added.jobs, added.created, strict=True):
            if not new:
                raise _NotStored(Verdict.STALE if job.id == wanted.id else Verdict.KEY_TAKEN)
        return [*queue_hints, *((queue, hint.value) for queue, hint in hints.items())]

    # -- the statements --

    async def _swap(self, changes: Sequence[Placed]) -> tuple[float, dict[int, int]]:
        """Return the store's now, and the hints of the changes that were stored, by their places."""
        by_seq = sorted(changes, key=lambda placed: placed[1].seq)
        answer = await self._session.ask(
            "settle",
            changes=document([change_item(n, change, _BITS[change.state]) for n, change in by_seq]),
            notifies=self._session.notifies,
            carried="\n".join(self._session.carried),
            sender=f" {self._session.terms.sender} ",
        )
        return answer[0][0], {n: bits for _, _, n, bits in answer if n is not None}

    async def _look(self, changes: Sequence[Placed]) -> dict[tuple[str, int], Job]:
        """Return the jobs of these changes as they are now."""
        if not changes:
            return {}
        found = map(read_job, await self._session.ask("by_seq", **_keys(change for _, change in changes)))
        return {(job.queue, job.seq): job for job in found}


def _apart(changes: Sequence[Placed]) -> tuple[list[Placed], list[Placed]]:
    """Return the first change of each job, and the others: a statement changes a row no more than once."""
    firsts: dict[tuple[str, int], Placed] = {}
    others = []
    for n, change in changes:
        if firsts.setdefault((change.queue, change.seq), (n, change))[0] != n:
            others.append((n, change))
    return list(firsts.values()), others


def _refusal(change: Change, job: Job | None) -> Verdict:
    """Return why it was not swapped: it was stored before, or a key is taken, or the job has moved on."""
    if job is None or job.id != change.id:
        return Verdict.STALE
    if is_stored(change, job):
        return Verdict.STORED
    return Verdict.KEY_TAKEN if job.version == change.version and _revives(change) else Verdict.STALE


def _takes_key(error: Exception) -> bool:
    """Whether a unique key was taken: a change that is stored can't collide by its id."""
    return getattr(error, "sqlstate", None) == _UNIQUE_VIOLATION
