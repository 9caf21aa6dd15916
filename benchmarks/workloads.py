"""What contenders are asked to do, and what is measured of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import psutil

from .cpu import cpu_seconds
from .programs import Failed
from .trial import Figures, Trial, check_each_ran_once, quantiles
from .wire import wire

#: Seconds that a handler sleeps which does.
_NAP: Final = 0.001

#: Bytes of a job that brings, and leaves, something.
_LOAD: Final = 10_000

#: Seconds until a delayed job is due: longer than any second's poll.
_DELAY: Final = 2.0

#: Seconds that a delayed job may begin too early: some stores have clocks of whole milliseconds.
_EARLY: Final = 0.002

#: Seconds in which an idle worker is watched.
_WATCHED: Final = 10.0


@attrs.frozen
class Workload:
    """One thing to do."""

    name: str
    told: str  #: what is done and measured, in a sentence for the page
    measure: Callable[[Trial], Figures]
    figure: str  #: the one that is compared
    more_is_better: bool = True
    quick: bool = False  #: belongs to a quick run
    stores: Sequence[str] = ("Redis", "PostgreSQL", "SQLite")
    only: Sequence[str] = ()  #: contenders, where not all of a store take part
    once: bool = False  #: it takes long and hardly varies: the first round is enough


def _enqueue_one_by_one(trial: Trial) -> Figures:
    return _enqueue(trial, trial.jobs(4_000, at_least=1_000), many=False)


def _enqueue_many(trial: Trial) -> Figures:
    return _enqueue(trial, trial.jobs(20_000, at_least=5_000), many=True)


def _enqueue(trial: Trial, jobs: int, many: bool) -> Figures:
    figures = trial.produce(jobs, many=many)
    trial.drain(jobs)  # no figure: what was enqueued is there, each once
    return figures


def _drain(jobs: int, size: int = 0, **what: Any) -> Callable[[Trial], Figures]:
    def measure(trial: Trial) -> Figures:
        number = trial.jobs(jobs)
        trial.fill(number, size=size)
        return trial.drain(number, size=size, **what)

    return measure


def _drain_far_away(trial: Trial) -> Figures:
    jobs = trial.jobs(20_000)
    trial.fill(jobs)
    near = trial.store.port
    assert near is not None
    with wire(near, 0.0005) as far:
        trial.url = trial.url.replace(f":{near}", f":{far.port}")
        figures = trial.drain(jobs)
        return figures | {"round trips/job": far.round_trips() / jobs}


def _drain_some_of_a_million(trial: Trial) -> Figures:
    drain_few = _drain(20_000)
    before = drain_few(trial)["jobs/s"]
    trial.url = trial.store.empty()
    trial.fill(int(1_000_000 * trial.share))
    figures = trial.drain(trial.jobs(20_000), rest=True)
    trial.url = trial.store.empty()
    after = drain_few(trial)["jobs/s"]  # so much was done in between that the machine may have become another one
    return figures | {"jobs/s of a short backlog": (before + after) / 2}


def _pick_up(trial: Trial) -> Figures:
    return _idle_worker(trial, jobs=200, gap=0.03, delay=0.0)


def _be_on_time(trial: Trial) -> Figures:
    return _idle_worker(trial, jobs=500, gap=0.005, delay=_DELAY)


def _idle_worker(trial: Trial, jobs: int, gap: float, delay: float) -> Figures:
    jobs = max(int(jobs * trial.share), 100)
    trial.produce(0)
    with trial.working(jobs, delay=delay) as [worker]:
        time.sleep(1.0)  # what it does on starting is done
        trial.produce(jobs, many=False, gap=gap, delay=delay)
        answer = worker.answer()
    check_each_ran_once([answer], jobs)
    if min(answer["late"]) < -_EARLY:
        raise Failed(f"a job began {-min(answer['late']):.3f} s before it was due")
    return quantiles(answer["late"][1:])  # nothing was warm before the first


def _do_nothing(trial: Trial) -> Figures:
    trial.produce(0)
    if trial.store.port is None:
        return _watch(trial, lambda: 0)
    with wire(trial.store.port, 0.0) as near:
        trial.url = trial.url.replace(f":{trial.store.port}", f":{near.port}")
        return _watch(trial, near.round_trips)


def _watch(trial: Trial, round_trips: Callable[[], int]) -> Figures:
    with trial.working(1) as [worker]:
        time.sleep(2.0)
        begun, asked, server = cpu_seconds(worker.pid), round_trips(), trial.store.cpu()
        time.sleep(_WATCHED)
        figures = {
            "worker CPU ms/s": (cpu_seconds(worker.pid) - begun) * 1e3 / _WATCHED,
            "server CPU ms/s": (trial.store.cpu() - server) * 1e3 / _WATCHED,
            "memory MB": psutil.Process(worker.pid).memory_info().rss / 1e6,
        }
        if trial.store.port is not None:
            figures["round trips/s"] = (round_trips() - asked) / _WATCHED
        trial.produce(1)  # it has been a worker all the time
        check_each_ran_once([worker.answer()], 1)
    return figures


_SERVERS: Final = ("Redis", "PostgreSQL")
_ALL: Final = ("Redis", "PostgreSQL", "SQLite", "memory")

WORKLOADS: Final = (
    Workload(
        "enqueue one by one", "One producer, each job when the one before is stored.", _enqueue_one_by_one, "jobs/s"
    ),
    Workload(
        "enqueue many",
        "One producer, 1,000 jobs at a time where its API has a way to; else 32 calls at a time, and with huey one.",
        _enqueue_many,
        "jobs/s",
        quick=True,
    ),
    Workload(
        "drain, concurrency 1",
        "Jobs that do nothing, out of a backlog.",
        _drain(4_000, concurrency=1),
        "jobs/s",
        stores=_ALL,
    ),
    Workload(
        "drain, concurrency 10", "The same, with ten at a time.", _drain(20_000, concurrency=10), "jobs/s", stores=_ALL
    ),
    Workload("drain, concurrency 100", "The same, with a hundred.", _drain(40_000), "jobs/s", stores=_ALL, quick=True),
    Workload(
        "drain, two workers",
        "Two processes with a hundred each, on the same backlog.",
        _drain(40_000, workers=2),
        "jobs/s",
    ),
    Workload(
        "drain, 1 ms of sleep",
        "Handlers that sleep a millisecond, a hundred at a time.",
        _drain(20_000, sleep=_NAP),
        "jobs/s",
        stores=_ALL,
    ),
    Workload(
        "drain, 10 kB",
        "Jobs that bring 10 kB and return them, and the results are kept.",
        _drain(10_000, size=_LOAD),
        "jobs/s",
    ),
    Workload(
        "drain, 1 ms away",
        "A hundred at a time, over a wire on which a round trip takes a millisecond; round trips are counted there.",
        _drain_far_away,
        "jobs/s",
        stores=_SERVERS,
    ),
    Workload(
        "drain, of a million",
        "20,000 of 1,000,000 that wait, and how that compares with 20,000 of 20,000.",
        _drain_some_of_a_million,
        "jobs/s",
        only=("trioq on Redis", "BullMQ", "trioq on PostgreSQL", "PgQueuer", "trioq on SQLite"),
        once=True,
    ),
    Workload(
        "pick up",
        "A job every 30 ms, from right before its enqueue to the first line of its handler in an idle worker.",
        _pick_up,
        "p50 ms",
        more_is_better=False,
        quick=True,
    ),
    Workload(
        "be on time",
        f"Jobs delayed by {_DELAY:g} seconds, one every 5 ms: how late their handlers begin. Who polls for them does "
        "so as often as by default, but for arq.",
        _be_on_time,
        "p99 ms",
        more_is_better=False,
    ),
    Workload(
        "do nothing",
        f"A worker without a job, watched for {_WATCHED:g} seconds.",
        _do_nothing,
        "worker CPU ms/s",
        more_is_better=False,
        once=True,
    ),
)
