"""One trial: a contender, on an emptied store, with its producer and its workers in processes of their own.

A workload says what they shall do; here is how, and that each job ran exactly once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import ceil
from typing import Any, Final

import attrs

from benchmarks.peers.protocol import Request

from .contenders import Contender
from .programs import Answer, Failed, Program, running
from .stores import Store

#: What was measured in a trial, by name; names end in their unit.
Figures = dict[str, float]

#: Seconds without a job after which one of several workers takes the rest to be the others'.
_QUIET: Final = 3.0


@attrs.define
class Trial:
    """One contender on one store."""

    contender: Contender
    store: Store
    share: float  #: of the jobs that a workload names
    url: str  #: where its programs find the store

    @classmethod
    def on(cls, store: Store, contender: Contender, share: float = 1.0) -> Trial:
        """One on an emptied store."""
        return cls(contender, store, share, store.empty())

    def jobs(self, number: int, at_least: int = 100) -> int:
        """So many, in the measure of this contender and of this run."""
        return max(at_least, int(number * self.share * self.contender.pace))

    def request(self, role: str, jobs: int, **what: Any) -> Request:
        return Request(role, self.url, jobs, arguments=self.contender.arguments, **what)

    def run(self, request: Request) -> Any:
        """The program of this contender, for as long as a block runs."""
        return running(self.contender.environment.command(self.contender.program), request)

    def produce(self, jobs: int, **what: Any) -> Figures:
        """Enqueue so many in a process of their own.  With no jobs, it only prepares the store."""
        before = self.store.cpu()
        with self.run(self.request("produce", jobs, **what)) as producer:
            answer = producer.answer()
            producer.wait()
        if answer["enqueued"] != jobs:
            raise Failed(f"{answer['enqueued']} instead of {jobs} jobs were enqueued")
        return {
            "jobs/s": jobs / max(answer["ended"] - answer["begun"], 1e-9),
            "producer CPU us/job": answer["cpu"] / max(jobs, 1) * 1e6,
            "server CPU us/job": (self.store.cpu() - before) / max(jobs, 1) * 1e6,
        }

    def fill(self, jobs: int, **what: Any) -> None:
        """Let so many wait, unless the worker has to bring them itself."""
        if self.contender.store != "memory":
            self.produce(jobs, **what)

    def drain(self, jobs: int, workers: int = 1, **what: Any) -> Figures:
        """Run all that wait; or, where the *rest* may wait longer, at least so many."""
        if workers > 1:
            what["quiet"] = _QUIET
        with self.working(jobs, workers, **what) as programs:
            before = self.store.cpu()
            answers = [program.answer() for program in programs]
            for program in programs:
                program.wait()
            time.sleep(0.2)  # the server has noticed, and counts what it spent on them
            server = self.store.cpu() - before
        check_each_ran_once(answers, jobs, rest=what.get("rest", False))
        active = [answer for answer in answers if answer["numbers"]]
        ran = sum(len(answer["numbers"]) for answer in active)
        seconds = max(answer["ended"] for answer in active) - min(answer["begun"] for answer in active)
        return {
            "jobs/s": ran / seconds,
            "worker CPU us/job": sum(answer["cpu"] for answer in active) / ran * 1e6,
            "server CPU us/job": server / ran * 1e6,
            "memory MB": sum(answer["memory"] for answer in answers) / 1e6,
        }

    @contextmanager
    def working(self, jobs: int, workers: int = 1, **what: Any) -> Iterator[Sequence[Program]]:
        """So many workers, each about to run."""
        request = self.request("work", jobs, **what)
        with ExitStack() as stack:
            programs = [stack.enter_context(self.run(request)) for _ in range(workers)]
            for program in programs:
                program.answer()
            yield programs


def check_each_ran_once(answers: Sequence[Answer], jobs: int, rest: bool = False) -> None:
    """`Failed`, unless these workers ran the jobs 0, 1, 2, ... exactly once; of a *rest*, any that are enough."""
    ran = Counter(number for answer in answers for number in answer["numbers"])
    twice = [number for number, times in ran.items() if times > 1]
    never = [number for number in range(jobs) if number not in ran]
    if rest:
        never = never if len(ran) < jobs else []
    elif len(ran) + len(never) != jobs:
        raise Failed(f"jobs ran that were not enqueued: {[number for number in ran if number >= jobs][:5]}")
    if twice or never:
        raise Failed(f"{len(twice)} jobs ran more than once, {len(never)} never: {twice[:5]} {never[:5]}")


def quantiles(values: Sequence[float]) -> Figures:
    """In milliseconds, of seconds."""
    ordered = sorted(values)
    return {f"p{share} ms": ordered[ceil(len(ordered) * share / 100) - 1] * 1e3 for share in (50, 95, 99)}
