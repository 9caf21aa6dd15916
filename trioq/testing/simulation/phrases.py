"""The phrases of a report: each part of a plan, and each entry of a history, in a few words, without its time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from ..._core.events import JobEvent
from ..._core.job import Job
from .history import (
    Answered,
    Asked,
    Began,
    Broke,
    Claimed,
    Died,
    Ended,
    Entry,
    Froze,
    Healed,
    Hurt,
    Inserted,
    Paused,
    Refused,
    Renewed,
    Started,
    Stopped,
    Stored,
    Struck,
    Thawed,
    Told,
    Unanswered,
)
from .plan import Fault, JobSpec, Operation, RunSpec

#: The phrase for each kind of entry; None where the entry is noise.
PHRASES: Final[Mapping[type[Entry], Callable[[Any], str] | None]] = {
    Asked: lambda entry: f"asks: {say_operation(entry.operation)}",
    Answered: lambda entry: f"is answered: {say_operation(entry.operation)}: {', '.join(map(_answer, entry.answer))}",
    Unanswered: lambda entry: f"is not answered: {say_operation(entry.operation)}: {entry.error}",
    Inserted: lambda entry: f"stores {entry.job.id} ({entry.job.state})",
    Claimed: lambda entry: f"claims {_run(entry.job)}",
    Stored: lambda entry: f"stores {entry.change.event.name} of {_run(entry.job)}: {entry.job.state}",
    Refused: lambda entry: (
        f"may not store {entry.change.event.name} of {entry.change.id}: {entry.verdict}"
        f" (it is {'gone' if entry.current is None else entry.current.state})"
    ),
    Renewed: None,
    Paused: lambda entry: f"{'pauses' if entry.paused else 'resumes'} queue {entry.queue!r}",
    Started: lambda _: "starts",
    Began: lambda entry: f"begins {_run(entry.job)}, planned run {entry.nth_run + 1}",
    Ended: lambda entry: f"ends {_run(entry.job)}: {entry.how}",
    Stopped: lambda entry: (
        f"has stopped, with {entry.borrowed} slots, {entry.tokens} tokens"
        + (f" and unsettled {', '.join(entry.unsettled)}" if entry.unsettled else "")
    ),
    Broke: lambda entry: f"breaks: {entry.error}",
    Died: lambda _: "is dead",
    Froze: lambda _: "stands still",
    Thawed: lambda _: "goes on",
    Hurt: lambda entry: f"has called {entry.verb}, for {entry.seconds:g} s: {entry.how}",
    Struck: lambda entry: f"is struck: {say_fault(entry.fault)}",
    Healed: lambda _: "is healed: no more faults",
    Told: lambda entry: (
        f"tells {entry.event.name}" + (f" of {_run(entry.event.job)}" if isinstance(entry.event, JobEvent) else "")
    ),
}


def say_job_spec(spec: JobSpec) -> str:
    """Its queue, what its handler does, and the options that are not as usual."""
    plain = JobSpec(id=spec.id, queue=spec.queue, runs=spec.runs)
    options = _differences(spec, plain)
    runs = ", then ".join(map(_run_spec, spec.runs)) or "returns"
    return f"on {spec.queue}, {runs}" + (f" ({options})" if options else "")


def _run_spec(run_spec: RunSpec) -> str:
    after = f" after {run_spec.after:g} s" if run_spec.after else ""
    return f"{run_spec.does}{after}" + (
        f" for {run_spec.delay:g} s" if run_spec.does in ("snoozes", "asks for a retry") else ""
    )


def say_fault(fault: Fault) -> str:
    """Its kind, which process it strikes, and when."""
    kind = re.sub(r"\B[A-Z]", r" \g<0>", type(fault).__name__).lower()
    return f"{kind} of {fault.process}: {_differences(fault, None)}"


def _differences(one: Any, plain: Any) -> str:
    """The fields that differ from those of *plain*, or from their defaults."""
    shown = []
    for field in attrs.fields(type(one)):
        value = getattr(one, field.name)
        if field.name != "process" and value != (field.default if plain is None else getattr(plain, field.name)):
            shown.append(f"{field.name}={value}")
    return ", ".join(shown)


def say_operation(operation: Operation) -> str:
    """What is asked, and of which."""
    return f"{operation.verb} {', '.join(operation.targets)}"


def _answer(answer: object) -> str:
    match answer:
        case (id, new):
            return f"{id} is {'new' if new else 'there already'}"
        case bool():
            return "yes" if answer else "no"
    return "done" if answer is None else str(answer)


def _run(job: Job) -> str:
    return f"{job.id} (run {job.run})"
