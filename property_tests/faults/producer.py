"""A producer process: enqueues jobs under ids that it has chosen, and asks again for as long as it gets no answer."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import trio

import trioq
from trioq.testing.simulation.history import Answered, Unanswered

from .application import queue_on
from .journal import Journal
from .stores import open_address

#: Seconds until an enqueue that was not answered is repeated.
_AGAIN = 0.1


@attrs.frozen(kw_only=True)
class ProducerConfig:
    """What a producer process is told."""

    store: list[str]
    task: str = "work"
    #: The arguments of each job in turn; from the start again when there are no more.
    arguments: list[list[Any]]
    count: int
    every: float = 0.0  #: seconds from one job to the next; 0 is as fast as it goes
    hands: int = 1  #: how many enqueue at the same time
    due_in: float | None = None  #: all jobs are due at one moment, so many seconds after the producer's start
    options: dict[str, Any] = attrs.Factory(dict)
    settings: dict[str, Any] = attrs.Factory(dict)


def run_producer(config: ProducerConfig, journal: Journal) -> None:
    """Enqueue all jobs."""
    trio.run(_main, config, journal)


async def _main(config: ProducerConfig, journal: Journal) -> None:
    queue = queue_on(open_address(config.store), journal, **config.settings)
    numbers = iter(range(config.count))
    began = time.monotonic()
    options: Any = dict(config.options)
    if config.due_in is not None:
        options["run_at"] = datetime.now(UTC) + timedelta(seconds=config.due_in)

    async def produce() -> None:
        for number in numbers:
            late = time.monotonic() - began - number * config.every
            if late < 0:
                await trio.sleep(-late)
            await _enqueue(f"{journal.who}-{number}", config.arguments[number % len(config.arguments)])

    async def _enqueue(id: str, arguments: list[Any]) -> None:
        call = queue.tasks[config.task].options(id=id, **options)
        operation = journal.ask(id)
        while True:
            try:
                handle = await call.enqueue(*arguments)
            except trioq.BackendError as error:
                journal.note(Unanswered, operation, f"{type(error).__name__}: {error}")
                await trio.sleep(_AGAIN)
            else:
                journal.note(Answered, operation, ((id, handle.created),))
                return

    async with queue, trio.open_nursery() as nursery:
        for _ in range(config.hands):
            nursery.start_soon(produce)
