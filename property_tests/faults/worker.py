"""A worker process: a worker, whose events are noted, until a signal ends it."""

from __future__ import annotations

from typing import Any

import attrs
import trio

import trioq
from trioq.events import BackendLost, BackendRecovered, Event, JobEvent

from .application import queue_on
from .crashing_backend import CrashingBackend
from .history import Down, OutOfReach, Told, Up
from .journal import Journal
from .leftovers import belongings
from .stores import open_address


@attrs.frozen(kw_only=True)
class WorkerOrders:
    """What a worker process is told."""

    store: list[str]
    concurrency: int = 10
    lease: float = 15.0
    grace: float = 30.0
    rate: tuple[int, float] | None = None
    #: The call at which it kills itself: a verb, how many times it may be called until then, and the moment.
    crash: tuple[str, int, str] | None = None
    settings: dict[str, Any] = attrs.Factory(dict)


def run_worker(orders: WorkerOrders, journal: Journal) -> None:
    """Work until a signal."""
    backend = open_address(orders.store)
    if orders.crash is not None:
        backend = CrashingBackend(backend, journal, *orders.crash)
    queue = queue_on(backend, journal, **orders.settings)
    limit, interval = orders.rate or (None, None)
    worker = trioq.Worker(
        queue,
        concurrency=orders.concurrency,
        lease=orders.lease,
        grace=orders.grace,
        rate_limit=limit,
        rate_interval=interval,
        name=journal.who,
        handle_signals=True,
    )
    trioq.event_emitter.on("*", _Notes(journal).note)
    trio.run(_main, worker, orders, journal)


async def _main(worker: trioq.Worker, orders: WorkerOrders, journal: Journal) -> None:
    before = belongings()
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.start)
        journal.note(Up, orders.lease, orders.concurrency, orders.rate)
    left = belongings() - before
    journal.note(Down, sorted(left.elements()))


class _Notes:
    """Notes what trioq tells."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def note(self, event: Event) -> None:
        if isinstance(event, JobEvent):
            job = event.job
            owner = (job.worker or "").partition(":")[0]
            self._journal.note(Told, event.name, job.id, job.run, job.version, str(job.state), owner)
        elif isinstance(event, BackendLost | BackendRecovered):
            self._journal.note(OutOfReach, event.name)
