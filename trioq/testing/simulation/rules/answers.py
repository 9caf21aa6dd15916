"""What clients are told: it must have been true at some moment between question and answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeVar

import attrs

from ...._core.job import Job
from ..history import Answered, Asked, Claimed, Entry, History, Inserted, Paused, SimulatedHistory, Stored
from ..plan import Operation, Verb
from .reading import FINAL, when

E = TypeVar("E", bound=Entry)

#: A record, or None while there is none, and the number of the entry from which on it was so.
Past = list[tuple[int, Job | None]]


@attrs.frozen
class Answer:
    """An answer, and the part of the history that it may be about."""

    entry: Answered
    asked: int
    answered: int


def an_enqueue_is_answered_truly(history: History) -> Iterator[str]:
    """An enqueue says whether its record is new; if not, it is an earlier try's, or a live job's with the same key.

    However often it is repeated, one answer at most says that the record is new.
    """
    pasts = _pasts(history)
    stored = {(entry.by, entry.job.id): number for number, entry in _numbered(history, Inserted)}
    told_new: set[str] = set()
    for answer in _answers(history, Verb.ENQUEUE):
        by = answer.entry.by
        for asked, (id, new) in zip(answer.entry.operation.targets, answer.entry.answer, strict=True):
            number, again = stored.get((by, asked)), new and id in told_new
            told_new |= {id} if new else set()
            if again or not isinstance(history, SimulatedHistory):
                true = not again
            elif new:
                true = id == asked and number is not None and answer.asked < number < answer.answered
            elif id == asked:
                true = number is not None and number < answer.answered
            else:
                jobs = _seen(pasts[id], answer)
                true = any(job is not None and job.unique_key and job.state not in FINAL for job in jobs)
            if not true:
                yield f"{when(history, answer.entry.at)} {by} enqueued {asked}, and was told {(id, new)}"


def a_cancel_is_answered_truly(history: History) -> Iterator[str]:
    """A cancel says yes exactly if the job was cancelled just then, and no only where nothing was left to cancel."""
    return _changes_answered_truly(history, Verb.CANCEL, "cancelled")


def a_requeue_is_answered_truly(history: History) -> Iterator[str]:
    """A requeue says yes exactly if the job was requeued just then.

    It says no only where there was no ended job, or a live one had its key.
    """
    return _changes_answered_truly(history, Verb.REQUEUE, "requeued")


def _changes_answered_truly(history: History, verb: Verb, kind: str) -> Iterator[str]:
    pasts = _pasts(history)
    done = [(n, entry.job.id) for n, entry in _numbered(history, Stored) if entry.change.event.name == f"job:{kind}"]
    for answer in _answers(history, verb):
        for id, yes in zip(answer.entry.operation.targets, answer.entry.answer, strict=True):
            if yes:
                true = any(answer.asked < number < answer.answered and each == id for number, each in done)
            else:
                seen = _seen(pasts[id], answer)
                true = any(job is None or (job.state in FINAL) == (verb is Verb.CANCEL) for job in seen)
                true = true or (verb is Verb.REQUEUE and _key_was_taken(pasts, id, answer))
            if not true:
                said = f"was told that {id} was {'' if yes else 'not '}{kind}"
                yield f"{when(history, answer.entry.at)} {answer.entry.by} {said}"


def _key_was_taken(pasts: defaultdict[str, Past], id: str, answer: Answer) -> bool:
    keys = {(job.queue, job.unique_key) for job in _seen(pasts[id], answer) if job and job.unique_key}
    others = (job for other, past in pasts.items() if other != id for job in _seen(past, answer))
    return any(job is not None and job.state not in FINAL and (job.queue, job.unique_key) in keys for job in others)


def a_result_is_answered_truly(history: History) -> Iterator[str]:
    """A client that waits for a result is told how the job ended: it had ended so when the answer was given."""
    pasts = _pasts(history)
    enqueued = _answers(history, Verb.ENQUEUE)
    for answer in _answers(history, Verb.RESULT):
        for target, end in zip(answer.entry.operation.targets, answer.entry.answer, strict=True):
            ids = _handles(enqueued, answer, target)
            seen = [job.state for id in sorted(ids) for job in _seen(pasts[id], answer) if job is not None]
            if end is not None and end not in seen:
                said = f"was told that {target} ended {end}; it was {', '.join(seen) or 'not there'}"
                yield f"{when(history, answer.entry.at)} {answer.entry.by} {said}"


def _handles(enqueued: list[Answer], answer: Answer, target: str) -> set[str]:
    """The jobs that this client may mean: an enqueue may have answered with the job that has the key."""
    return {
        id
        for each in enqueued
        if each.entry.by == answer.entry.by and each.answered < answer.answered
        for asked, (id, _) in zip(each.entry.operation.targets, each.entry.answer, strict=True)
        if asked == target
    }


def a_pause_that_is_answered_holds(history: History) -> Iterator[str]:
    """When a pause or a resume is answered, it has happened between question and answer."""
    happened = [(number, entry.queue, entry.paused) for number, entry in _numbered(history, Paused)]
    for verb, paused in ((Verb.PAUSE, True), (Verb.RESUME, False)):
        for answer in _answers(history, verb):
            for queue in answer.entry.operation.targets:
                if not any(
                    (each, how) == (queue, paused) and answer.asked < number < answer.answered
                    for number, each, how in happened
                ):
                    said = f"was told that {queue!r} is {verb}d, which did not happen"
                    yield f"{when(history, answer.entry.at)} {answer.entry.by} {said}"


def _answers(history: History, verb: Verb) -> list[Answer]:
    asked: dict[tuple[str, Operation], int] = {}
    found = []
    for number, entry in enumerate(history.entries):
        match entry:
            case Asked(by=by, operation=operation):
                asked[by, operation] = number
            case Answered(by=by, operation=operation) if operation.verb is verb:
                found.append(Answer(entry, asked.get((by, operation), 0), number))
    return found


def _pasts(history: History) -> defaultdict[str, Past]:
    """All versions of each record, in order."""
    pasts: defaultdict[str, Past] = defaultdict(lambda: [(-1, None)])
    for number, entry in enumerate(history.entries):
        if isinstance(entry, (Inserted, Claimed, Stored)):
            pasts[entry.job.id].append((number, entry.job))
    return pasts


def _seen(past: Past, answer: Answer) -> list[Job | None]:
    """What the store had for this job between question and answer."""
    before = [job for number, job in past if number <= answer.asked]
    between = [job for number, job in past if answer.asked < number < answer.answered]
    return [*before[-1:], *between]


def _numbered(history: History, kind: type[E]) -> list[tuple[int, E]]:
    return [(number, entry) for number, entry in enumerate(history.entries) if isinstance(entry, kind)]
