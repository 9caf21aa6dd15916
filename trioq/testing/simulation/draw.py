"""Draws a plan from a seed: the same plan each time for the same seed.  What plans are is in ``plan``."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from random import Random
from typing import Final

from .plan import (
    EVERY_PROCESS,
    TICK,
    Clock,
    Crash,
    Does,
    Fault,
    Freeze,
    HintFault,
    Hints,
    JobSpec,
    Leave,
    Operation,
    Partition,
    Plan,
    RunSpec,
    SlowCall,
    SlowVerb,
    Verb,
    Where,
    WorkerSpec,
)


def draw_plan(seed: int) -> Plan:
    """The plan of that seed."""
    return _Dice(seed).plan()


class _Dice:
    """Draws a plan, with some kinds of faults and options only: a bug that needs one may be hidden by another."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)

    def plan(self) -> Plan:
        self.horizon = float(self.random.choice([10, 20, 40]))
        self.queues = self.random.choice([("a",), ("a",), ("a", "b")])
        self.options = set(self.some("delay", "ttl", "timeout", "priority", "unique_key"))
        self.longest = 30 if self.horizon == 40 else 8  # where there is time, handlers may take longer than leases
        self.behaviours = [Does.RETURN, Does.RETURN, Does.RAISE, *self.some(*Does)]
        worker_specs = tuple(self.worker_spec(f"w{number}") for number in range(1, self.random.randint(1, 3) + 1))
        job_specs = tuple(self.job_spec(f"j{number}") for number in range(1, self.random.randint(1, 12) + 1))
        clients = self.random.choice([("c1",), ("c1", "c2")])
        operations = tuple(sorted(self.operations(job_specs, clients), key=lambda operation: operation.at))
        kinds = self.some(*_FAULTS) if self.random.random() < 0.85 else []  # quiet, so that nothing excuses a delay
        faults = tuple(fault for kind in kinds for fault in self.faults(kind, worker_specs, clients, operations))
        return Plan(
            seed=self.seed,
            worker_specs=worker_specs,
            job_specs=job_specs,
            operations=operations,
            faults=faults,
            horizon=self.horizon,
            heals=self.random.random() < 0.7,
        )

    def some(self, *among: str) -> list[str]:
        return [one for one in among if self.random.random() < 0.4]

    def seconds(self, most: float) -> float:
        """Mostly short, sometimes nothing, on the grid."""
        return int(self.random.random() ** 2 * most / TICK) * TICK

    def moment(self) -> float:
        return self.random.randrange(int(self.horizon / TICK)) * TICK

    def worker_spec(self, name: str) -> WorkerSpec:
        queues = self.queues if self.random.random() < 0.7 else (self.random.choice(self.queues),)
        if name == "w1":
            queues = self.queues  # so that each of them has a worker
        return WorkerSpec(
            name=name,
            queues=queues,
            concurrency=self.random.randint(1, 4),
            rate_limit=self.random.choice([None, None, 1, 3]),
            rate_interval=self.random.choice([0.5, 1.0, 4.0]),
            lease=self.random.choice([3.0, 6.0, 15.0]),
        )

    def job_spec(self, id: str) -> JobSpec:
        runs = tuple(
            RunSpec(Does(self.random.choice(self.behaviours)), self.seconds(self.longest), self.seconds(8))
            for _ in range(self.random.randint(0, 4))
        )
        timeout = (
            self.seconds(6) + TICK
            if self.drawn("timeout") or any(run_spec.does is Does.HANG for run_spec in runs)
            else None
        )
        delay = self.seconds(12) if self.drawn("delay") else None
        return JobSpec(
            id=id,
            queue=self.random.choice(self.queues),
            runs=runs,
            delay=delay,
            ttl=(delay or 0.0) + self.seconds(15) + TICK if self.drawn("ttl") else None,
            timeout=timeout,
            priority=self.random.choice([-1, 1]) if self.drawn("priority") else 0,
            max_retries=self.random.randint(0, 3),
            max_crashes=self.random.randint(1, 3),
            backoff=self.random.choice([0.0, 0.25, 1.0]),
            unique_key=self.random.choice(["k", "l"]) if self.drawn("unique_key") else None,
        )

    def drawn(self, option: str) -> bool:
        return option in self.options and self.random.random() < 0.5

    def operations(self, job_specs: tuple[JobSpec, ...], clients: tuple[str, ...]) -> Iterator[Operation]:
        waiting = list(job_specs)
        while waiting:
            batch = tuple(
                spec for spec in waiting[: self.random.choice([1, 1, 2, 4])] if spec.queue == waiting[0].queue
            )
            waiting = [spec for spec in waiting if spec not in batch]
            at = self.moment() * self.random.choice([0.0, 0.5, 1.0])
            yield Operation(at, self.random.choice(clients), Verb.ENQUEUE, tuple(spec.id for spec in batch))
            for spec in batch:
                for verb in (Verb.CANCEL, Verb.REQUEUE, Verb.RESULT):
                    if self.random.random() < 0.15:
                        yield Operation(at + self.seconds(self.horizon), self.random.choice(clients), verb, (spec.id,))
        for queue in self.queues:
            if self.random.random() < 0.2:
                at = self.moment()
                yield Operation(at, self.random.choice(clients), Verb.PAUSE, (queue,))
                yield Operation(at + self.seconds(10), self.random.choice(clients), Verb.RESUME, (queue,))

    def faults(
        self,
        kind: str,
        worker_specs: tuple[WorkerSpec, ...],
        clients: tuple[str, ...],
        operations: tuple[Operation, ...],
    ) -> Iterator[Fault]:
        for _ in range(self.random.randint(1, 4)):
            member, at, restart = self.random.choice(worker_specs), self.moment(), self.seconds(4)
            worker, process = member.name, self.random.choice([member.name, member.name, *clients])
            call = 1 + int(self.random.expovariate(1 / 20))
            match kind:
                case "crash":
                    yield Crash(process=worker, at=at, restart=restart)
                case "crash in a call":
                    yield Crash(process=worker, call=call, where=self.random.choice(list(Where)), restart=restart)
                case "crash at a step":
                    yield Crash(process=worker, step=1 + int(self.random.expovariate(1 / 200)), restart=restart)
                case "leave":
                    yield Leave(process=worker, at=self.or_at_once(at), grace=self.seconds(6), restart=restart)
                case "freeze":
                    yield Freeze(process=worker, at=at, seconds=self.seconds(40))
                case "nap":
                    yield from self.nap(member, worker_specs, self.random.choice(operations).at + self.seconds(2))
                case "slow verb":
                    there, back = self.random.choice([(self.seconds(4), 0.0), (0.0, self.seconds(4)), (0.0, inf)])
                    verb, lasts = self.random.choice(_SLOWED), 1 + self.seconds(20)
                    at = self.or_at_once(at)
                    yield SlowVerb(process=worker, at=at, seconds=lasts, verb=verb, there=there, back=back)
                case "slow call":
                    for number in range(self.random.randint(1, 4)):
                        there, back = self.random.choice([(0.0, inf), (inf, 0.0), (self.seconds(12), self.seconds(4))])
                        reset = self.random.random() < 0.5
                        yield SlowCall(process=process, call=call + number, there=there, back=back, reset=reset)
                case "cut":
                    cuts_all = self.random.random() < 0.3
                    silent = self.random.random() < 0.5
                    process = EVERY_PROCESS if cuts_all else process
                    yield Partition(process=process, at=at, seconds=self.seconds(20), silent=silent)
                case "hints":
                    what = self.random.choice(list(HintFault))
                    yield Hints(process=process, at=at, seconds=self.seconds(40), what=what)
                case "clock":
                    at = self.or_at_once(at)
                    yield Clock(process=process, at=at, by=self.random.choice([-3600.0, -1.0, 1.0, 3600.0]))

    def or_at_once(self, at: float) -> float:
        """That moment, or the first one, when a worker hardly knows anything yet."""
        return self.random.choice([0.0, at, at, at])

    def nap(self, member: WorkerSpec, worker_specs: tuple[WorkerSpec, ...], at: float) -> Iterator[Fault]:
        """A worker wakes up when others are just about to take it for dead, or have just done so, slowly."""
        seconds = member.lease * 0.75 + self.seconds(member.lease)
        yield Freeze(process=member.name, at=at, seconds=seconds)
        if self.random.random() < 0.8:
            slow = 0.5 + self.seconds(3)
            for other in worker_specs:
                if other is not member:
                    yield SlowVerb(process=other.name, at=at, seconds=seconds + 4, verb="settle", there=slow)
        if self.random.random() < 0.3:
            woken = at + seconds + self.seconds(2)
            yield Leave(process=member.name, at=woken, grace=0.0, restart=self.seconds(4))


#: The calls that workers depend on.
_SLOWED: Final = ("claim", "settle", "renew", "overdue", "get")

_FAULTS: Final = (
    "crash",
    "crash in a call",
    "crash at a step",
    "leave",
    "freeze",
    "nap",
    "slow call",
    "cut",
    "hints",
    "clock",
    "slow verb",
)
