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
class ProducerOrders:
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


def run_producer(orders: ProducerOrders, journal: Journal) -> None:
    """Enqueue all jobs."""
    trio.run(_main, orders, journal)


async def _main(orders: ProducerOrders, journal: Journal) -> None:
    queue = queue_on(open_address(orders.store), journal, **orders.settings)
    numbers = iter(range(orders.count))
    began = time.monotonic()
    options: Any = dict(orders.options)
    if orders.due_in is not None:
        options["run_at"] = datetime.now(UTC) + timedelta(seconds=orders.due_in)

    async def produce() -> None:
        for number in numbers:
            late = time.monotonic() - began - number * orders.every
            if late < 0:
                await trio.sleep(-late)
            await _enqueue(f"{journal.who}-{number}", orders.arguments[number % len(orders.arguments)])

    async def _enqueue(id: str, arguments: list[Any]) -> None:
        call = queue.tasks[orders.task].options(id=id, **options)
        act = journal.ask(id)
        while True:
            try:
                handle = await call.enqueue(*arguments)
            except trioq.BackendError as error:
                journal.note(Unanswered, act, f"{type(error).__name__}: {error}")
                await trio.sleep(_AGAIN)
            else:
                journal.note(Answered, act, ((id, handle.created),))
                return

    async with queue, trio.open_nursery() as nursery:
        for _ in range(orders.hands):
            nursery.start_soon(produce)
