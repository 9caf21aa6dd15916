"""A worker process: a worker, whose events are noted, until a signal ends it."""

from __future__ import annotations

from typing import Any

import attrs
import trio

import trioq
from trioq._bus import Subscription
from trioq.events import Event
from trioq.testing.simulation.history import Started, Stopped, Told
from trioq.testing.simulation.plan import WorkerSpec

from .application import NAME, queue_on
from .crashing_backend import CrashingBackend
from .journal import Journal
from .leftovers import belongings
from .stores import open_address


@attrs.frozen(kw_only=True)
class WorkerConfig:
    """What a worker process is told."""

    store: list[str]
    concurrency: int = 10
    lease: float = 15.0
    grace: float = 30.0
    rate: tuple[int, float] | None = None
    #: The call at which it kills itself: a verb, how many times it may be called until then, and the moment.
    crash: tuple[str, int, str] | None = None
    settings: dict[str, Any] = attrs.Factory(dict)


def run_worker(config: WorkerConfig, journal: Journal) -> None:
    """Work until a signal."""
    backend = open_address(config.store)
    if config.crash is not None:
        backend = CrashingBackend(backend, journal, *config.crash)
    queue = queue_on(backend, journal, **config.settings)
    limit, interval = config.rate or (None, None)
    worker = trioq.Worker(
        queue,
        concurrency=config.concurrency,
        lease=config.lease,
        grace=config.grace,
        rate_limit=limit,
        rate_interval=interval,
        name=journal.who,
        handle_signals=True,
    )
    trio.run(_main, worker, config, journal)


async def _main(worker: trioq.Worker, config: WorkerConfig, journal: Journal) -> None:
    before = belongings()
    async with trioq.event_emitter.listening(_Notes(journal)), trio.open_nursery() as nursery:
        await nursery.start(worker.start)
        journal.note(Started, _worker_spec(config, journal.who))
    left = belongings() - before
    journal.note(Stopped, 0, 0, (), tuple(sorted(left.elements())))


class _Notes(Subscription):
    """Notes each event at the moment at which it is told."""

    def __init__(self, journal: Journal) -> None:
        super().__init__("*", 1)
        self._journal = journal

    def put(self, event: Event) -> None:
        self._journal.note(Told, event)


def _worker_spec(config: WorkerConfig, name: str) -> WorkerSpec:
    """What the rules ask of a worker."""
    limit, interval = config.rate or (None, 1.0)
    return WorkerSpec(
        name=name,
        queues=(NAME,),
        concurrency=config.concurrency,
        rate_limit=limit,
        rate_interval=interval,
        lease=config.lease,
    )
