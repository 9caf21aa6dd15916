"""One trial: a contender, on an emptied store, with its producer and its workers in processes of their own.

A workload says what they shall do; here is how, and that each job ran exactly once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    share: float = 1.0  #: of the jobs that a workload names
    url: str = ""
    _cpu: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.url = self.store.empty()

    def jobs(self, number: int, at_least: int = 100) -> int:
        """So many, in the measure of this contender and of this run."""
        return max(at_least, int(number * self.share * self.contender.pace))

    def request(self, role: str, jobs: int, **what: Any) -> Request:
        return Request(role, self.url, jobs, arguments=self.contender.arguments, **what)

    def run(self, request: Request) -> Any:
        """The program of this contender, for as long as a block runs."""
        return running(self.contender.environment.command(self.contender.program), request)

    def produce(self, jobs: int, **what: Any) -> float:
        """Enqueue so many in a process of their own; the seconds that it took.  None: only prepare the store."""
        with self.run(self.request("produce", jobs, **what)) as producer:
            answer = producer.answer()
            producer.usage()
        if answer["enqueued"] != jobs:
            raise Failed(f"{answer['enqueued']} instead of {jobs} jobs were enqueued")
        return float(answer["ended"] - answer["begun"])

    def fill(self, jobs: int, **what: Any) -> None:
        """Let so many wait, unless the worker has to bring them itself."""
        if self.contender.store != "memory":
            self.produce(jobs, **what)

    def drain(self, jobs: int, workers: int = 1, **what: Any) -> Figures:
        """Run all that wait."""
        with self.working(jobs, workers, quiet=_QUIET, **what) as programs:
            before = self.store.cpu()
            answers = [program.answer() for program in programs]
            memory = sum(program.usage().memory for program in programs)
            time.sleep(0.2)  # the server has noticed, and counts what it spent on them
            server = self.store.cpu() - before
        if not what.get("rest"):
            check_each_ran_once(answers, jobs)
        answers = [answer for answer in answers if answer["numbers"]]
        ran = sum(len(answer["numbers"]) for answer in answers)
        seconds = max(answer["ended"] for answer in answers) - min(answer["begun"] for answer in answers)
        return {
            "jobs/s": ran / seconds,
            "worker CPU us/job": sum(answer["cpu"] for answer in answers) / ran * 1e6,
            "server CPU us/job": server / ran * 1e6,
            "memory MB": memory / 1e6,
        }

    @contextmanager
    def working(self, jobs: int, workers: int = 1, **what: Any) -> Iterator[Sequence[Program]]:
        """So many workers, each about to run."""
        request = self.request("work", jobs, **what)
        with self.run(request) as first:
            programs = [first]
            if workers > 1:
                with self.run(request) as second:
                    programs.append(second)
                    _await_all(programs)
                    yield programs
            else:
                _await_all(programs)
                yield programs


def _await_all(programs: Sequence[Program]) -> None:
    for program in programs:
        program.answer()


def check_each_ran_once(answers: Sequence[Answer], jobs: int) -> None:
    """`Failed`, unless these workers ran the jobs 0, 1, 2, ... exactly once."""
    ran = Counter(number for answer in answers for number in answer["numbers"])
    twice = [number for number, times in ran.items() if times > 1]
    never = [number for number in range(jobs) if number not in ran]
    if twice or never or len(ran) != jobs:
        raise Failed(f"{len(twice)} jobs ran more than once, {len(never)} never: {twice[:5]} {never[:5]}")


def quantiles(values: Sequence[float]) -> Figures:
    """In milliseconds, of seconds."""
    ordered = sorted(values)
    return {
        f"p{share:g} ms": ordered[min(int(len(ordered) * share / 100), len(ordered) - 1)] * 1e3
        for share in (50, 95, 99)
    }
