"""The load under which servers, and the way there, are broken: as much comes as is done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from trioq.events import BackendLost, BackendRecovered
from trioq.testing.simulation.history import History, Told, Unanswered
from trioq.testing.simulation.rules import Rule

from .experiment import Bench, judge
from .measures import recovery_times
from .result import Result
from .trial import Trial

#: Jobs a second: much less than a worker can do.
_RATE: Final = 100

#: Some of them take a while, so that outcomes are waiting to be settled whenever a fault begins.
_JOBS: Final = [[0.0], [0.0], [0.3]]


@asynccontextmanager
async def steady_work(
    bench: Bench,
    seconds: float,
    *,
    port: int | None = None,
    task: str = "work",
    arguments: list[list[Any]] = _JOBS,
    **config: object,
) -> AsyncIterator[Trial]:
    """Two workers and a producer, for so long; by way of the proxy on *port*, where one is given."""
    async with bench.trial() as trial:
        way = bench.store.address(trial.folder, port=port)
        for _ in range(2):
            await trial.start_worker(store=way, **config)
        count = int(seconds * _RATE)
        await trial.start_producer(store=way, task=task, arguments=arguments, count=count, every=1 / _RATE, hands=8)
        await trio.sleep(1)
        yield trial


def judge_with_recovery(history: History, *, without: tuple[Rule, ...] = ()) -> Result:
    """What the rules say, and how long it took until all work flowed again."""
    return judge(history, without=without) + Result(samples={"recovery": recovery_times(history, _RATE)})


def outages_told(history: History) -> list[str]:
    """What workers told of a store that they could not reach, or could reach again."""
    outages = (BackendLost, BackendRecovered)
    return [f"{told.by} told {told.event.name}" for told in history.all(Told) if isinstance(told.event, outages)]


def other_errors(history: History) -> Result:
    """What ``enqueue`` has raised but `trioq.BackendUnavailable`, which is all that it may raise."""
    errors = [entry.error for entry in history.all(Unanswered)]
    return Result.wrong(error for error in errors if not error.startswith("BackendUnavailable"))
