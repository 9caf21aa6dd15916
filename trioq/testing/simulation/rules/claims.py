"""What the store may hand out: when, from which queues, in which order, and under which lease."""

from __future__ import annotations

from collections.abc import Iterator

from ...._core.job import Job
from ..history import Claimed, History, Paused, Renewed, SimulatedHistory
from .reading import ROUNDING, is_last_life, process_of, same, states, when


def a_paused_queue_hands_out_nothing(history: History) -> Iterator[str]:
    """Nothing is claimed from a queue between a pause and the resume that follows it."""
    paused: set[str] = set()
    for entry in history.entries:
        match entry:
            case Paused(queue=queue):
                (paused.add if entry.paused else paused.discard)(queue)
            case Claimed(by=by, job=job) if job.queue in paused:
                yield f"{when(history, entry.at)} {by} claims {job.id} from {job.queue!r}, which is paused"


def nothing_is_claimed_before_its_time(history: History) -> Iterator[str]:
    """A delayed job, be it scheduled, in backoff or snoozed, is not claimed before its ``run_at``."""
    for entry in history.all(Claimed):
        if entry.before.state == "delayed" and entry.before.run_at > entry.at + ROUNDING:
            due = when(history, entry.before.run_at).strip()
            yield f"{when(history, entry.at)} {entry.by} claims {entry.job.id}, which is due at {due}"


def the_first_in_line_is_claimed_first(history: History) -> Iterator[str]:
    """A claim takes the ready jobs of a queue by priority, then by time of readiness, then by age.

    Jobs on their last life have an order of their own.
    """
    for _, entry, records in states(history):
        if isinstance(entry, Claimed) and not is_last_life(entry.before):
            for other in records.values():
                if _is_ready(other, entry) and _is_first(other, entry.before):
                    yield f"{when(history, entry.at)} {entry.by} claims {entry.job.id} before {other.id}"


def _is_ready(job: Job, claimed: Claimed) -> bool:
    due = job.state == "waiting" or (job.state == "delayed" and job.run_at <= claimed.at - ROUNDING)
    return due and job.queue == claimed.job.queue and job.id != claimed.job.id and not is_last_life(job)


def _is_first(job: Job, other: Job) -> bool:
    if job.priority != other.priority:
        return job.priority < other.priority
    if same(job.run_at, other.run_at):  # once a store has rounded them, age may decide
        return job.run_at <= other.run_at and job.seq < other.seq
    return job.run_at < other.run_at


def a_lease_is_as_long_as_its_worker_says(history: SimulatedHistory) -> Iterator[str]:
    """A claim or a renewal makes a lease that lasts as long as its worker's setting, from then on."""
    leases = {spec.name: spec.lease for spec in history.plan.worker_specs}
    for entry in history.entries:
        if isinstance(entry, (Claimed, Renewed)):
            lease = leases.get(entry.by.partition(".")[0], 0.0)
            if not same(entry.job.lease_until, entry.at + lease) or process_of(entry.job.worker) != entry.by:
                until = when(history, entry.job.lease_until or 0.0).strip()
                held = f"{process_of(entry.job.worker)} holds it until {until}"
                yield f"{when(history, entry.at)} {entry.by} claims or renews {entry.job.id}: {held}"
