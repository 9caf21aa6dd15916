"""The write verbs: what each asks of its script, and what the answer means.  No Trio, no connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import attrs
import msgspec

from ..._core.job import Job, State
from ..._core.lifecycle import Change, stamp
from .._base import Claimed, Hint, Inserted, Lease, Loss, Presence, Renewed, Settled, Verdict
from . import rows
from .rows import integer, seconds
from .scripts import SCRIPTS, Script

_VERDICTS: Final = {verdict.value.encode(): verdict for verdict in Verdict}
_LOSSES: Final = {loss.value.encode(): loss for loss in Loss}


#: An argument of a script; a number is text where it is compared with a field.
Arg = bytes | int | Sequence[bytes]


@attrs.frozen
class Ask:
    """A request to a script: its queues, and then one argument after the other."""

    script: Script
    queues: Sequence[str] = ()
    args: Sequence[Arg] = ()


class Numbers:
    """The queues of a request, in the order in which they were first named; a script names them by number."""

    def __init__(self, queues: Iterable[str] = ()) -> None:
        self._numbers: dict[str, int] = {}
        for queue in queues:
            self.of(queue)

    @property
    def queues(self) -> list[str]:
        """All queues that were named."""
        return list(self._numbers)

    def of(self, queue: str) -> int:
        """Return the queue's number; a new queue gets the next one."""
        return self._numbers.setdefault(queue, len(self._numbers) + 1)


def read_records(queues: Sequence[str], records: Iterable[Any]) -> Iterator[Job | None]:
    """Yield the jobs of the records that a script returns."""
    for number, id, pairs in records:
        yield rows.read_job(queues[number - 1], id.decode(), pairs)


def read_hints(queues: Sequence[str], hints: Iterable[int]) -> dict[str, Hint]:
    """Return the hints to send, by queue."""
    return {queue: Hint(bits) for queue, bits in zip(queues, hints, strict=True) if bits}


# --- insert -------------------------------------------------------------------------------------


def _new(job: Job, number: int) -> list[Arg]:
    fields = rows.new_fields(job)
    return [
        number,
        job.id.encode(),
        b"" if job.unique_key is None else job.unique_key.encode(),
        b"" if job.delay is None else seconds(job.delay),
        seconds(job.run_at),
        b"" if job.ttl is None else seconds(job.ttl),
        len(fields),
        *fields,
    ]


def insert(jobs: Sequence[Job]) -> Ask:
    """Ask to add these jobs."""
    numbers = Numbers()
    args: list[Arg] = [len(jobs)]
    for job in jobs:
        args += _new(job, numbers.of(job.queue))
    return Ask(SCRIPTS["insert"], numbers.queues, args)


def inserted(ask: Ask, jobs: Sequence[Job], reply: Sequence[Any]) -> tuple[Inserted, dict[str, Hint]]:
    """Read the stamped jobs, with the known ones in their places."""
    now, before = float(reply[0]), int(reply[1])
    stored = [stamp(job, seq, now) for seq, job in enumerate(jobs, before + 1)]
    created = [True] * len(jobs)
    for index, record in reply[2]:
        [known] = read_records(ask.queues, [record])
        if known is not None:
            stored[index], created[index] = known, False
    return Inserted(now, stored, created), read_hints(ask.queues, reply[3])


# --- claim --------------------------------------------------------------------------------------


def claim(queues: Iterable[str], limit: int, worker: str, lease: float, idle: bool) -> Ask:
    """Ask to lease ready jobs."""
    args: list[Arg] = [limit, worker.encode(), seconds(lease), integer(idle)]
    return Ask(SCRIPTS["claim"], list(dict.fromkeys(queues)), args)


def claimed(ask: Ask, worker: str, lease: float, reply: Sequence[Any]) -> Claimed:
    """Read the jobs, each with the Claim step that the script has stored.

    The conformance checks compare it with the pure step.
    """
    now = float(reply[0])
    until = now + lease
    return Claimed(
        now,
        [
            job.having(
                {
                    "state": State.ACTIVE,
                    "version": job.version + 1,
                    "run": job.run + 1,
                    "worker": worker,
                    "lease_until": until,
                    "started_at": now,
                }
            )
            for job in read_records(ask.queues, reply[1])
            if job is not None
        ],
        next_due=float(reply[2]) if reply[2] else None,
        paused=frozenset(ask.queues[number - 1] for number in reply[3]),
        last_life=bool(reply[4]),
    )


# --- settle -------------------------------------------------------------------------------------


def _step(change: Change, number: int) -> list[Arg]:
    shelf, given, cleared = rows.changed_fields(change)
    return [
        number,
        change.id.encode(),
        integer(change.seq),
        integer(change.version),
        b"" if change.lease_until is None else seconds(change.lease_until),
        shelf,
        len(given),
        len(cleared),
        *given,
        *cleared,
    ]


def settle(changes: Sequence[Change]) -> Ask:
    """Ask to store these changes; where one of them is composite, by the script that can store such."""
    several = any(change.also or change.inserts for change in changes)
    numbers = Numbers()
    args: list[Arg] = [len(changes)]
    for change in changes:
        if several:
            args += (1 + len(change.also), len(change.inserts))
        for part in (change, *change.also):
            args += _step(part, numbers.of(part.queue))
        for job in change.inserts:
            args += _new(job, numbers.of(job.queue))
    return Ask(SCRIPTS["settle_whole" if several else "settle"], numbers.queues, args)


def settled(ask: Ask, reply: Sequence[Any]) -> tuple[Settled, dict[str, Hint]]:
    """Read the verdicts, and the hints."""
    return Settled(float(reply[0]), [_VERDICTS[verdict] for verdict in reply[1]]), read_hints(ask.queues, reply[2])


# --- renew --------------------------------------------------------------------------------------


def renew(worker: Presence, leases: Sequence[Lease], claimed_from: Iterable[str]) -> Ask:
    """Ask to extend these leases, and to look for others in the queues that the worker has *claimed_from*."""
    numbers = Numbers(claimed_from)
    args: list[Arg] = [worker.worker.encode(), seconds(worker.lease), _presence_encoder.encode(worker), len(leases)]
    for lease in leases:
        args += (numbers.of(lease.queue), lease.id.encode(), integer(lease.run), rows.pack_progress(lease.progress))
    return Ask(SCRIPTS["renew"], numbers.queues, args)


def renewed(ask: Ask, leases: Sequence[Lease], reply: Sequence[Any]) -> Renewed:
    """Read which leases are lost, and which were not listed."""
    return Renewed(
        float(reply[0]),
        {leases[index]: _LOSSES[why] for index, why in reply[1]},
        [(queue, id.decode()) for queue, ids in zip(ask.queues, reply[2], strict=True) for id in ids],
    )


_presence_encoder: Final = msgspec.json.Encoder()
_presence_decoder: Final = msgspec.json.Decoder(Presence)


def read_presence(data: bytes) -> Presence:
    """Decode what a worker said of itself."""
    return _presence_decoder.decode(data)
