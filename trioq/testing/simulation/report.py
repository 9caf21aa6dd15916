"""The report of a history: what was planned, what happened, which rules it breaks, and how to see it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ..._core.events import BackendRecovered, JobEvent
from .history import (
    Answered,
    Asked,
    Began,
    Claimed,
    Ended,
    Entry,
    Hurt,
    Inserted,
    Refused,
    Renewed,
    SimulatedHistory,
    Stored,
    Told,
    Unanswered,
)
from .phrases import PHRASES, say_fault, say_job_spec, say_operation
from .plan import Plan
from .rules import LIVENESS, SAFETY

#: A report of no more entries than this leaves out only the noise.
SHORT: Final = 40


def report(history: SimulatedHistory, broken: Sequence[str], again: str) -> str:
    """Write the report of *history*, which breaks these rules; *again* is the command that repeats it.

    A long report leaves out entries about jobs that no broken rule names.
    """
    parts = [
        _planned(history.plan),
        _happened(history, broken),
        _judged(broken),
        f"To see it again:\n  {again}",
    ]
    return "\n\n".join("\n".join(part) if not isinstance(part, str) else part for part in parts) + "\n"


# --- the plan -----------------------------------------------------------------------------------


def _planned(plan: Plan) -> Iterator[str]:
    ending = "then the faults stop" if plan.heals else "and no longer"
    yield f"Seed {plan.seed}, for {plan.horizon:g} s, {ending}."
    for worker in plan.worker_specs:
        rate = "" if worker.rate_limit is None else f", {worker.rate_limit} starts in {worker.rate_interval:g} s"
        what = f"{worker.concurrency} slots, leases of {worker.lease:g} s{rate}"
        yield f"  worker {worker.name} of {', '.join(worker.queues)}: {what}"
    for job in plan.job_specs:
        yield f"  job {job.id}: {say_job_spec(job)}"
    for operation in plan.operations:
        yield f"  at {operation.at:g}: {operation.by} asks: {say_operation(operation)}"
    for fault in plan.faults:
        yield f"  fault: {say_fault(fault)}"


# --- the entries --------------------------------------------------------------------------------


def _happened(history: SimulatedHistory, broken: Sequence[str]) -> Iterator[str]:
    entries = [entry for entry in history.entries if PHRASES[type(entry)] is not None]
    if len(entries) > SHORT:
        named = {spec.id for spec in history.plan.job_specs if any(_names(line, spec.id) for line in broken)}
        entries = [entry for entry in entries if not named or not (about := set(_about(entry))) or about & named]
    entries = list(_without_echoes(entries))
    left_out = len(history.entries) - len(entries)
    yield "What happened" + (f" ({left_out} entries that tell nothing new are left out):" if left_out else ":")
    for entry in entries:
        say = PHRASES[type(entry)]
        assert say is not None
        yield f"{entry.at - history.began:9.3f} {entry.by} {say(entry)}"


def _without_echoes(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Keep only the first of the calls that fail one after another in an outage."""
    failed: set[tuple[str, str, str]] = set()
    for entry in entries:
        match entry:
            case Hurt(by=by, verb=verb, how=how) if (by, verb, how) in failed:
                continue
            case Hurt(by=by, verb=verb, how=how):
                failed.add((by, verb, how))
            case Told(by=by, event=BackendRecovered()):
                failed = {each for each in failed if each[0] != by}
        yield entry


def _names(line: str, id: str) -> bool:
    return id in line.replace(",", " ").replace(":", " ").split()


def _about(entry: Entry) -> Iterable[str]:
    """The jobs that an entry is about; none where it is about no job in particular."""
    match entry:
        case Asked(operation=operation) | Answered(operation=operation) | Unanswered(operation=operation):
            return operation.targets
        case Inserted(job=job) | Claimed(job=job) | Stored(job=job) | Renewed(job=job):
            return (job.id,)
        case Began(job=job) | Ended(job=job) | Told(event=JobEvent(job=job)):
            return (job.id,)
        case Refused(change=change):
            return (change.id,)
    return ()


# --- the rules ----------------------------------------------------------------------------------


def _judged(broken: Sequence[str]) -> Iterator[str]:
    if not broken:
        yield "No rule is broken."
    sentences = {rule.__name__: (rule.__doc__ or "").partition("\n\n")[0] for rule in (*SAFETY, *LIVENESS)}
    told = set()
    for line in broken:
        name, _, what = line.partition(": ")
        if name not in told:
            told.add(name)
            yield f"Broken: {sentences.get(name, name)} ({name})"
        yield f"  {what}"
