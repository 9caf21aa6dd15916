"""What is stored of what was asked for: all of it, once, and as it was ordered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..history import Answered, Asked, Began, Claimed, History, Inserted, Stored
from ..plan import Verb
from .reading import end_of, same, when

_FIXED: Final = (
    *("id", "queue", "task", "payload", "seq", "created_at", "priority", "delay", "ttl", "timeout"),
    *("max_retries", "max_crashes", "backoff", "unique_key", "metadata"),
)


def nothing_acknowledged_is_lost(history: History) -> Iterator[str]:
    """A job whose enqueue was answered is never lost: at the end its record is there."""
    for entry in history.all(Answered):
        if entry.operation.verb is Verb.ENQUEUE:
            for id, _ in entry.answer:
                if id not in history.records:
                    yield f"{when(history, entry.at)} {entry.by} was told that {id} is stored; at the end it is gone"


def what_is_stored_was_asked_for(history: History) -> Iterator[str]:
    """A record comes from an enqueue that a client asked for, and however often that is repeated, there is only one."""
    asked: set[tuple[str, str]] = set()
    stored: set[str] = set()
    for entry in history.entries:
        match entry:
            case Asked(by=by, operation=operation) if operation.verb is Verb.ENQUEUE:
                asked |= {(by, id) for id in operation.targets}
            case Inserted(by=by, job=job):
                if (by, job.id) not in asked:
                    yield f"{when(history, entry.at)} {by} stores {job.id}, which it was not asked to"
                if job.id in stored:
                    yield f"{when(history, entry.at)} {by} stores {job.id} once more"
                stored.add(job.id)
    there = history.records.keys() | {entry.job.id for entry in history.all(Began)}
    for id in sorted(there - {id for _, id in asked}):
        yield f"{when(history, end_of(history))} {id} is stored, or has run, and was never asked for"


def a_new_record_is_as_ordered(history: History) -> Iterator[str]:
    """A new record has version 0 and no runs, counts its delay and its TTL from now, and waits, unless delayed."""
    for entry in history.all(Inserted):
        job, at = entry.job, entry.at
        run_at = at + (job.delay or 0.0)
        expected = (0, 0, 0, 0, 0, at, run_at, None if job.ttl is None else at + job.ttl)
        counters = job.version, job.run, job.failures, job.crashes, job.snoozes
        found = (*counters, job.created_at, job.run_at, job.expires_at)
        if not all(map(same, found, expected)) or job.state != ("delayed" if job.delay else "waiting"):
            yield f"{when(history, at)} {entry.by} stores {job.id} as {job.state}: {found}, not {expected}"


def what_was_ordered_never_changes(history: History) -> Iterator[str]:
    """No step changes what was enqueued: the arguments, the options, the place in the queue."""
    for entry in history.entries:
        if isinstance(entry, (Claimed, Stored)):
            for name in _FIXED:
                before, after = getattr(entry.before, name), getattr(entry.job, name)
                if not same(before, after):
                    yield f"{when(history, entry.at)} {entry.by} changes {name} of {entry.job.id}: {before} to {after}"
