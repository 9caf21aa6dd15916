"""What events tell: each step that was stored, once, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from ...._core.events import JobEvent
from ..history import Answered, Asked, History, Inserted, Refused, Stopped, Stored, Told
from ..plan import Verb
from .lives import lives
from .reading import SOON, end_of, handlers, is_reclaim, process_of, when

#: Events of no stored step.
_NO_STEP: Final = ("job:started", "job:progress", "job:lost")

#: Steps that two processes may make at once, each from the same record: the same change, which both see stored.
_SHARED: Final = ("job:cancelled", "job:requeued", "job:stalled", "job:expired", "job:failed")

#: A step, as events name it: the job, its version after the step, and the name of the event.
Step = tuple[str, int, str]


def an_event_tells_what_was_stored(history: History) -> Iterator[str]:
    """An event is told only after the step that it tells of is stored, and with the record as that step left it."""
    stored: dict[Step, tuple[str, int]] = {}
    cancelled: set[str] = set()
    for entry in history.entries:
        match entry:
            case Inserted(job=job):
                stored[job.id, job.version, "job:enqueued"] = str(job.state), job.run
            case Stored(job=job, change=change):
                stored[job.id, job.version, change.event.name] = str(job.state), job.run
                if job.state == "cancelled":
                    cancelled.add(job.id)
            case Told(event=JobEvent(name=name, job=job)) if name not in _NO_STEP:
                # A worker tells of a cancel of its job as well, with the record that it finds by then.
                heard = name == "job:cancelled" and job.id in cancelled
                if stored.get((job.id, job.version, name)) != (str(job.state), job.run) and not heard:
                    yield f"{when(history, entry.at)} {entry.by} tells {name} of {job.id}, which is not so"


def no_step_is_told_twice(history: History) -> Iterator[str]:
    """A step is told once, by the process that made it.

    Where two made the same one at the same moment, each tells it; a cancel is also told by the worker that ran the job.
    """
    told: Counter[tuple[str, Step]] = Counter()
    makers = {(e.job.id, e.job.version, e.change.event.name): e for e in history.all(Stored)}
    asked = {(entry.by, id) for entry in history.all(Asked) for id in entry.operation.targets}
    for entry in history.all(Told):
        if isinstance(entry.event, JobEvent) and entry.event.name not in _NO_STEP:
            job, name = entry.event.job, entry.event.name
            step = job.id, job.version, name
            told[entry.by, step] += 1
            if told[entry.by, step] > 1:
                yield f"{when(history, entry.at)} {entry.by} tells {name} of {job.id} once more"
            maker = makers.get(step)
            if maker is not None and maker.by != entry.by and not _may_share(entry.by, maker, asked):
                yield f"{when(history, entry.at)} {entry.by} tells {name} of {job.id}, which {maker.by} has done"


def _may_share(by: str, maker: Stored, asked: set[tuple[str, str]]) -> bool:
    name = maker.change.event.name
    if name == "job:cancelled":
        return (by, maker.job.id) in asked or by == process_of(maker.before.worker)
    if name == "job:requeued":
        return (by, maker.job.id) in asked
    return name in _SHARED and (name != "job:failed" or is_reclaim(maker))


def what_is_stored_is_told(history: History) -> Iterator[str]:
    """A worker tells each step that it stores at the end of a run, or as it sweeps, if it lives until the answer.

    Where the answer got lost and the job has moved on since, the worker tells it as lost instead.
    """
    told = {(e.by, *_step_of(e.event)) for e in history.all(Told) if isinstance(e.event, JobEvent)}
    refused = {(entry.by, entry.change.id, entry.change.version) for entry in history.all(Refused)}
    stopped = {entry.by for entry in history.all(Stopped)}
    unsettled = {(entry.by, id) for entry in history.all(Stopped) for id in entry.unsettled}
    known, begun = lives(history), {handler.key for handler in handlers(history)}
    for entry in history.all(Stored):
        life, job = known.get(entry.by), entry.job
        if life is None or (entry.by, job.id, job.version, entry.change.event.name) in told:
            continue
        if not life.heard("settle") and (
            (entry.by, job.id, entry.before.version) in refused or (entry.by, job.id) in unsettled
        ):
            continue
        held = entry.before.state == "active" and process_of(entry.before.worker) == entry.by
        own = held and (job.id, job.run) in begun and not is_reclaim(entry)
        soon = entry.at + SOON
        lived_on = soon < end_of(history) and life.well(max(life.begins, entry.at - 10), soon)
        if lived_on or (own and entry.by in stopped):
            what = f"stores {entry.change.event.name} of {job.id}, and never tells"
            yield f"{when(history, entry.at)} {entry.by} {what}"


def _step_of(event: JobEvent) -> Step:
    return event.job.id, event.job.version, event.name


def what_is_answered_was_told(history: History) -> Iterator[str]:
    """By the time a client is told that it has enqueued, cancelled or requeued a job, it has told of that itself."""
    told: set[tuple[str, str, str]] = set()
    kinds = {Verb.ENQUEUE: "job:enqueued", Verb.CANCEL: "job:cancelled", Verb.REQUEUE: "job:requeued"}
    for entry in history.entries:
        match entry:
            case Told(by=by, event=JobEvent(name=name, job=job)):
                told.add((by, job.id, name))
            case Answered(by=by, operation=operation, answer=answer) if operation.verb in kinds:
                enqueues = operation.verb is Verb.ENQUEUE
                done = [id for id, new in answer if new] if enqueues else _those(operation.targets, answer)
                for id in done:
                    if (by, id, kinds[operation.verb]) not in told:
                        yield f"{when(history, entry.at)} {by} has not told {kinds[operation.verb]} of {id}"


def _those(targets: tuple[str, ...], answer: tuple[object, ...]) -> list[str]:
    return [id for id, yes in zip(targets, answer, strict=True) if yes]
