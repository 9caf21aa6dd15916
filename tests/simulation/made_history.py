"""Writes small histories by hand, a line for each thing that happens: true to life, unless a test says otherwise."""

from __future__ import annotations

import json
from typing import Any, Self

import attrs

from trioq._core import events
from trioq._core.job import Job
from trioq._core.lifecycle import Cancel, Claim, Command, Complete, Requeue, stamp, step
from trioq.testing.simulation.history import (
    Answered,
    Asked,
    Began,
    Claimed,
    Died,
    Ended,
    Entry,
    Froze,
    Healed,
    Hurt,
    Inserted,
    Paused,
    Renewed,
    SimulatedHistory,
    Started,
    Stopped,
    Stored,
    Struck,
    Thawed,
    Told,
    Unanswered,
)
from trioq.testing.simulation.plan import Fault, JobSpec, Operation, Plan, RunSpec, Verb, WorkerSpec

BEGAN = 1000.0

LEASE = 8.0

PLAN = Plan(
    seed=7,
    worker_specs=(
        WorkerSpec(name="w1", queues=("a",), lease=LEASE, rate_limit=2),
        WorkerSpec(name="w2", queues=("a",), lease=LEASE),
    ),
    job_specs=(
        JobSpec(id="j1", queue="a"),
        JobSpec(id="j2", queue="a", runs=(RunSpec(),)),
        JobSpec(id="j3", queue="a"),
    ),
    operations=(),
    heals=False,
)


class MadeHistory:
    """What has happened so far.  Times are seconds since the beginning; c1 enqueues, w1.1 and w2.1 work."""

    def __init__(self, plan: Plan = PLAN) -> None:
        self.plan = plan
        self.now = BEGAN
        self.entries: list[Entry] = []
        self.records: dict[str, Job] = {}
        self.begun: dict[str, int] = {}
        self.job_specs = {spec.id: spec for spec in plan.job_specs}
        for process in ("w1.1", "w2.1"):
            self.start(process)

    def at(self, seconds: float) -> Self:
        self.now = BEGAN + seconds
        return self

    def add(self, entry: Entry) -> Self:
        self.entries.append(entry)
        if isinstance(entry, (Inserted, Claimed, Stored, Renewed)):
            self.records[entry.job.id] = entry.job
        return self

    def history(self, **changes: Any) -> SimulatedHistory:
        history = SimulatedHistory(
            plan=self.plan, began=BEGAN, entries=tuple(self.entries), records=dict(self.records), drained=True
        )
        return attrs.evolve(history, **changes)

    # --- clients ---

    def ask(self, verb: Verb, *targets: str, by: str = "c1") -> Operation:
        operation = Operation(self.now - BEGAN, by, verb, targets)
        self.add(Asked(self.now, by, operation))
        return operation

    def answer(self, operation: Operation, *answer: Any) -> Self:
        return self.add(Answered(self.now, operation.by, operation, answer))

    def forsake(self, operation: Operation) -> Self:
        return self.add(Unanswered(self.now, operation.by, operation, "no answer"))

    def insert(self, id: str, *, by: str = "c1", **fields: Any) -> Self:
        spec = self.job_specs[id]
        names = ("delay", "ttl", "timeout", "priority", "max_retries", "max_crashes", "unique_key")
        options = {name: getattr(spec, name) for name in names} | fields
        job = stamp(Job(id=id, queue=spec.queue, task="work", **options), len(self.records) + 1, self.now)
        return self.add(Inserted(self.now, by, job)).tell(by, events.JobEnqueued, id)

    def enqueue(self, *ids: str, **fields: Any) -> Self:
        operation = self.ask(Verb.ENQUEUE, *ids)
        for id in ids:
            self.insert(id, **fields)
        return self.answer(operation, *((id, True) for id in ids))

    def cancel(self, id: str, by: str = "c1") -> Self:
        operation = self.ask(Verb.CANCEL, id, by=by)
        return self.store(by, id, Cancel()).answer(operation, True)

    def requeue(self, id: str) -> Self:
        operation = self.ask(Verb.REQUEUE, id)
        return self.store("c1", id, Requeue()).answer(operation, True)

    def pause(self, queue: str, paused: bool = True) -> Self:
        operation = self.ask(Verb.PAUSE if paused else Verb.RESUME, queue)
        return self.add(Paused(self.now, "c1", queue, paused)).answer(operation, None)

    # --- workers ---

    def start(self, process: str) -> Self:
        [spec] = [spec for spec in self.plan.worker_specs if process.startswith(spec.name)]
        return self.add(Started(self.now, process, spec)).tell_of_worker(process, events.WorkerStarted)

    def claim(self, process: str, id: str, **fields: Any) -> Self:
        before = self.records[id]
        change = step(before, Claim(f"{process}:0", self.now + LEASE), self.now)
        return self.add(Claimed(self.now, process, before, before.after(change).having(fields)))

    def renew(self, process: str, id: str, lease: float = LEASE) -> Self:
        return self.add(Renewed(self.now, process, self.records[id].having({"lease_until": self.now + lease})))

    def begin(self, process: str, id: str, told: bool = True) -> Self:
        if told:
            self.tell(process, events.JobStarted, id)
        nth_run = self.begun[id] = self.begun.get(id, -1) + 1
        return self.add(Began(self.now, process, self.records[id], nth_run))

    def end(self, process: str, id: str, how: str = "returned") -> Self:
        return self.end_run(process, id, self.begun[id], how)

    def end_run(self, process: str, id: str, nth_run: int, how: str = "returned") -> Self:
        [began] = [
            each for each in self.entries if isinstance(each, Began) and (each.job.id, each.nth_run) == (id, nth_run)
        ]
        returned = f"{id} in run {began.job.run}" if how == "returned" else None
        return self.add(Ended(self.now, process, began.job, nth_run, how, returned))

    def take(self, process: str, id: str) -> Self:
        """Claim a job, and begin it."""
        return self.claim(process, id).begin(process, id)

    def run(self, process: str, id: str, how: str = "returned", command: Command | None = None) -> Self:
        """All of a run, in no time."""
        self.take(process, id).end(process, id, how)
        command = Complete(self.result(id)) if command is None else command
        return self.store(process, id, command, progress={"fraction": 0.5})

    def result(self, id: str) -> bytes:
        """What the handler returns in this run."""
        return json.dumps(f"{id} in run {self.records[id].run}").encode()

    def store(self, by: str, id: str, command: Command, *, told: bool = True, **fields: Any) -> Self:
        """A step, with other *fields* than it should have."""
        before = self.records[id]
        change = step(before, command, self.now)
        change = attrs.evolve(change, fields=change.fields | fields)
        self.add(Stored(self.now, by, before, change, before.after(change)))
        return self.tell(by, change.event, id) if told else self

    def drain(self, process: str, grace: float = 5.0) -> Self:
        """It is told to stop."""
        return self.tell_of_worker(process, events.WorkerDraining, grace=grace)

    def stop(self, process: str, **hands: Any) -> Self:
        self.drain(process).tell_of_worker(process, events.WorkerStopped)
        return self.add(Stopped(self.now, process, **{"borrowed": 0, "tokens": 0, **hands}))

    # --- faults ---

    def die(self, process: str) -> Self:
        return self.add(Died(self.now, process))

    def freeze(self, process: str) -> Self:
        return self.add(Froze(self.now, process))

    def thaw(self, process: str) -> Self:
        return self.add(Thawed(self.now, process))

    def hurt(self, process: str, verb: str, seconds: float = 2.0) -> Self:
        """A call comes to its end, and its caller never learns what it did."""
        return self.add(Hurt(self.now, process, verb, "no answer", seconds, unknown=True))

    def strike(self, process: str, fault: Fault) -> Self:
        """Another fault begins."""
        return self.add(Struck(self.now, process, fault))

    def heal(self) -> Self:
        return self.add(Healed(self.now, "*"))

    # --- events ---

    def tell(self, by: str, kind: type[events.JobEvent], id: str, **fields: Any) -> Self:
        job = self.records[id]
        event = attrs.evolve(kind.of(job, self.now), worker=job.worker, **fields)
        return self.add(Told(self.now, by, event))

    def lose(self, process: str, id: str, run: int = 1) -> Self:
        """A worker tells that it has lost a job."""
        job = self.records[id].having({"run": run})
        lost = events.JobLost(
            queue=job.queue, at=self.now, job=job, worker=job.worker, run=run, attempt=1, state=str(job.state)
        )
        return self.add(Told(self.now, process, lost))

    def tell_of_worker(self, process: str, kind: type[events.WorkerEvent], **fields: Any) -> Self:
        event = kind(queue=None, at=self.now, worker=f"{process}:0", queues=("a",), **fields)
        return self.add(Told(self.now, process, event))
