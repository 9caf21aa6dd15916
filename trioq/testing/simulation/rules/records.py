"""What must be true of the records in the store, whichever process wrote them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import attrs

from ...._core.job import Job
from ..history import Claimed, History, Inserted, Refused, Renewed, SimulatedHistory, Stored
from .reading import FINAL, ROUNDING, end_of, same, snapshots, states, told_of_jobs, when

#: The legal steps of a job: the event, the state before, the state after, and by how much the counters of runs,
#: failures, crashes and snoozes grow.  A claim, and a requeue, which sets two of them back, have rules of their own.
STEPS: Final[frozenset[tuple[str, str, str, tuple[int, int, int, int]]]] = frozenset(
    {
        ("job:completed", "active", "completed", (0, 0, 0, 0)),
        ("job:retrying", "active", "delayed", (0, 1, 0, 0)),
        ("job:failed", "active", "failed", (0, 1, 0, 0)),
        ("job:failed", "active", "failed", (0, 0, 1, 0)),
        ("job:stalled", "active", "waiting", (0, 0, 1, 0)),
        ("job:snoozed", "active", "delayed", (0, 0, 0, 1)),
        ("job:released", "active", "waiting", (0, 0, 0, 0)),
        ("job:released", "active", "delayed", (0, 0, 0, 0)),
        ("job:expired", "active", "expired", (0, 0, 0, 0)),
        ("job:expired", "waiting", "expired", (0, 0, 0, 0)),
        ("job:expired", "delayed", "expired", (0, 0, 0, 0)),
        ("job:cancelled", "active", "cancelled", (0, 0, 0, 0)),
        ("job:cancelled", "waiting", "cancelled", (0, 0, 0, 0)),
        ("job:cancelled", "delayed", "cancelled", (0, 0, 0, 0)),
    }
)

#: From which state to which a job may go from one version to the next.
_MOVES: Final = frozenset(
    {(before, after) for _, before, after, _ in STEPS}
    | {(before, "active") for before in ("waiting", "delayed")}
    | {(before, "waiting") for before in FINAL}
)

#: Steps that end a run.  Where two of them are told of one run, the second was stale.
_ENDS: Final = {name for name, before, _, _ in STEPS if before == "active"} - {"job:cancelled", "job:expired"}

#: Events with the record that the telling process knows, which need not be the stored one.
_BELIEFS: Final = ("job:lost", "job:cancelled", "job:progress")

_COUNTERS: Final = ("run", "failures", "crashes", "snoozes")


def every_step_is_legal(history: History) -> Iterator[str]:
    """A record changes only as the table of the state machine allows, and its counters by no more than that."""
    for entry in history.entries:
        match entry:
            case Claimed(before=before, job=job):
                grown = _grown(before, job)
                if before.state not in ("waiting", "delayed") or job.state != "active" or grown != (1, 0, 0, 0):
                    yield _step(history, entry, "claims", grown)
            case Stored(before=before, job=job, change=change) if change.event.name == "job:requeued":
                if before.state not in FINAL or job.state != "waiting" or not _is_anew(before, job, entry.at):
                    yield _step(history, entry, change.event.name, _grown(before, job))
            case Stored(before=before, job=job, change=change):
                grown = _grown(before, job)
                if (change.event.name, str(before.state), str(job.state), grown) not in STEPS:
                    yield _step(history, entry, change.event.name, grown)
    if not isinstance(history, SimulatedHistory):
        yield from _illegal_moves_told(history)


def _illegal_moves_told(history: History) -> Iterator[str]:
    """Steps from one version that was told of to the next; the last is the record at the end.  Nothing is requeued."""
    told: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for _, event in told_of_jobs(history):
        if event.name not in _BELIEFS:
            told[event.job.id][event.job.version] = str(event.job.state)
    end = when(history, end_of(history))
    for id, versions in told.items():
        record = history.records.get(id)
        if record is not None:
            if record.version < max(versions) or versions.get(record.version, record.state) != record.state:
                yield f"{end} {id} is {record.state} in version {record.version}, and was told of as {versions}"
            versions[record.version] = str(record.state)
        for (older, before), (newer, after) in pairwise(sorted(versions.items())):
            if before in FINAL or (newer == older + 1 and (before, after) not in _MOVES):
                yield f"{end} {id} moves from {before} in version {older} to {after} in version {newer}"


def _grown(before: Job, job: Job) -> tuple[int, ...]:
    return tuple(getattr(job, name) - getattr(before, name) for name in _COUNTERS)


def _is_anew(before: Job, job: Job, at: float) -> bool:
    counts = (job.run, job.failures, job.crashes, job.snoozes) == (before.run, 0, 0, before.snoozes)
    expires_at = None if job.ttl is None else job.run_at + job.ttl
    return counts and job.run_at <= at + ROUNDING and same(job.expires_at, expires_at)


def _step(history: History, entry: Claimed | Stored, what: str, grown: tuple[int, ...]) -> str:
    counters = ", ".join(f"{name} {by:+}" for name, by in zip(_COUNTERS, grown, strict=True) if by) or "no counter"
    states = f"{entry.before.state} to {entry.job.state}"
    return f"{when(history, entry.at)} {entry.by} moves {entry.job.id} from {states} ({what}; {counters})"


def no_stale_write_is_accepted(history: History) -> Iterator[str]:
    """A step is stored only over the version that it was made from, and it alone makes the next version."""
    for _, entry, records in states(history):
        if isinstance(entry, (Claimed, Stored)):
            current = records.get(entry.job.id)
            read = entry.change.version if isinstance(entry, Stored) else entry.before.version
            if current is None or current != entry.before:
                yield f"{when(history, entry.at)} {entry.by} moves {entry.job.id}, which was changed unseen"
            elif read != current.version or entry.job.version != current.version + 1:
                versions = f"made from version {read}, stored over {current.version} as {entry.job.version}"
                yield f"{when(history, entry.at)} {entry.by} moves {entry.job.id}: {versions}"
    if not isinstance(history, SimulatedHistory):
        yield from _stale_writes_told(history)


def _stale_writes_told(history: History) -> Iterator[str]:
    """Each version is written by one step, and each run ended by one."""
    written: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
    for _, event in told_of_jobs(history):
        job = event.job
        if event.name not in _BELIEFS:
            written[f"version {job.version} of {job.id}"].add((event.name, event.run))
        if event.name in _ENDS:
            written[f"the end of run {event.run} of {job.id}"].add((event.name, job.version))
    for what, steps in written.items():
        if len(steps) > 1:
            yield f"{when(history, end_of(history))} {what} was written as {sorted(steps)}"


def a_repeated_write_is_recognised(history: History) -> Iterator[str]:
    """A step that is stored already, and still stands, is not refused when it is sent again."""
    stored = [entry.change for entry in history.all(Stored)]
    for entry in history.all(Refused):
        current = entry.current
        if current is not None and current.version == entry.change.version + 1 and entry.change in stored:
            what = f"{entry.change.event.name} of {entry.change.id}"
            yield f"{when(history, entry.at)} {entry.by} may not store {what}, which it has stored"


def a_record_says_one_thing(history: History) -> Iterator[str]:
    """A record has a lease exactly while it is active, an end exactly when it is final, and no counter past its limit.

    A job that may still run has failed no more than ``max_retries`` times and crashed less than ``max_crashes`` times.
    """
    for at, by, job in snapshots(history):
        for what in _contradictions(job):
            yield f"{when(history, at)} {by} leaves {job.id} {job.state}, {what}"


def _contradictions(job: Job) -> Iterator[str]:
    final = job.state in FINAL
    facts: dict[str, Any] = {
        "its lease says otherwise": (job.lease_until is not None) == (job.state == "active"),
        "finished_at says otherwise": (job.finished_at is not None) == final,
        "the cancel reason says otherwise": (job.cancel_reason is not None) == (job.state == "cancelled"),
        "with a result": job.result is None or job.state == "completed",
        "without an error": job.error is not None or job.state != "failed",
        "and no worker holds it": job.worker is not None or job.state != "active",
        "and has no TTL": job.expires_at is not None or job.state != "expired",
        "expires_at says otherwise": (job.expires_at is not None) == (job.ttl is not None),
        "with a counter below zero": min(job.run, job.failures, job.crashes, job.snoozes, job.version) >= 0,
        "with more ends than runs": job.failures + job.crashes + job.snoozes <= job.run,
        "with more claims than changes": job.run <= job.version,
        "with a priority that is none": -(2**15) <= job.priority < 2**15,
        "with more failures than it may have": job.failures <= job.max_retries + final,
        "with more crashes than it may have": job.crashes <= job.max_crashes - (not final),
    }
    return (what for what, holds in facts.items() if not holds)


def a_job_fails_only_at_its_limits(history: History) -> Iterator[str]:
    """A lost lease fails a job exactly when it was the last crash that the job may have; else the job runs again."""
    for entry in history.all(Stored):
        job = entry.job
        if job.crashes > entry.before.crashes and (job.state == "failed") != (job.crashes >= job.max_crashes):
            crashes = f"crash {job.crashes} of {job.max_crashes}"
            yield f"{when(history, entry.at)} {entry.by} leaves {job.id} {job.state} after {crashes}"


def the_end_is_what_was_stored(history: History) -> Iterator[str]:
    """At the end each record is what the last write that was stored made of it, in every field."""
    written = (entry for entry in history.entries if isinstance(entry, (Inserted, Claimed, Stored, Renewed)))
    records = {entry.job.id: entry.job for entry in written}
    for id in sorted(records.keys() | history.records.keys()):
        what = _difference(records.get(id), history.records.get(id))
        if what:
            yield f"{when(history, end_of(history))} {id} {what}"


def _difference(stored: Job | None, there: Job | None) -> str:
    if stored is None or there is None:
        return "was never stored, and is there" if stored is None else f"was stored as {stored.state}, and is gone"
    fields = [(field.name, getattr(stored, field.name), getattr(there, field.name)) for field in attrs.fields(Job)]
    return ", ".join(
        f"has {name} {found!r}, and {value!r} was stored" for name, value, found in fields if not same(value, found)
    )


def a_unique_key_has_one_live_job(history: History) -> Iterator[str]:
    """Two jobs of a queue that have not ended never have the same unique key."""
    for _, entry, records in states(history):
        if isinstance(entry, (Inserted, Claimed, Stored)) and entry.job.unique_key is not None:
            job = entry.job
            for other in records.values():
                same = (other.queue, other.unique_key) == (job.queue, job.unique_key) and other.id != job.id
                if same and job.state not in FINAL and other.state not in FINAL:
                    yield f"{when(history, entry.at)} {job.id} and {other.id} both have the key {job.unique_key!r}"
