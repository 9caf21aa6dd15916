"""``trioq worker MODULE:ATTRIBUTE``: run an application's worker until a signal."""

from __future__ import annotations

import logging
from typing import Annotated, Final

import trio
import typer

from .._core.identifiers import check_name
from .._queue import Queue
from .._worker.worker import Worker
from ..backends.memory import InMemoryBackend
from ._load import load

logger: Final = logging.getLogger("trioq.worker")


def worker(
    target: Annotated[str, typer.Argument(metavar="MODULE:ATTRIBUTE", help="A Worker or a Queue.")],
    concurrency: Annotated[int | None, typer.Option(min=1, help="How many jobs run at once, at most.")] = None,
    grace: Annotated[float | None, typer.Option(min=0, help="Seconds that running jobs get after a signal.")] = None,
    name: Annotated[str | None, typer.Option(help="The worker's name; else host and process id.")] = None,
) -> None:
    """Run the jobs of a Worker or a Queue, until SIGINT or SIGTERM.

    The first signal drains: no new jobs, and those that run have the grace to finish. The second cancels them. Either
    way, what was cut short goes back to the queue, no attempt is spent, and the exit code is 0.
    """
    found = load(target)
    try:
        made = _worker_of(found, concurrency, grace, name)
    except ValueError as error:  # a name that no store could keep, a grace of nan
        raise typer.BadParameter(str(error)) from None
    _log_to_stderr()
    if any(isinstance(queue.backend, InMemoryBackend) for queue in made.queues.values()):
        logger.warning("memory: is this process's own: no other process can enqueue here. Give the queue a sqlite: URL")
    trio.run(made.start)


def _worker_of(found: Worker | Queue, concurrency: int | None, grace: float | None, name: str | None) -> Worker:
    """A worker for a queue, or the application's own; what the command line says goes first."""
    if isinstance(found, Queue):
        return Worker(found, concurrency=concurrency, grace=grace, name=name)
    if concurrency is not None:
        found.concurrency = concurrency
    if grace is not None:
        found.grace = grace
    if name is not None:
        found.name = check_name("a worker name", name)
    return found


def _log_to_stderr() -> None:
    """Show trioq's lines, and the warnings of all others, unless the application has set up logging itself."""
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    logger = logging.getLogger("trioq")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
