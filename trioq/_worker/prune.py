"""Prune: drops jobs past retention.  A task of its own: however much there is to drop, it holds up no sweep."""

from __future__ import annotations

import logging
from typing import Final

import trio

from .._core.errors import BackendError, BackendUnavailable
from ..backends._base import Retention
from .run import WorkerRun

logger: Final = logging.getLogger("trioq.worker")

#: Seconds between the beginnings of two passes.
INTERVAL: Final = 60.0

#: Seconds after which a pass asks for no further batch: the next pass goes on.
LONGEST: Final = 20.0

#: Jobs in one batch.
BATCH: Final = 500


@trio.lowlevel.enable_ki_protection
async def prune(run: WorkerRun) -> None:
    """Drop jobs past retention of this worker's queues, once a minute, in batches.

    What fails is logged, and tried again in the next pass.
    """
    settings = run.limits.settings
    retention = Retention(
        keep_completed=settings.keep_completed,
        keep_completed_max=settings.keep_completed_max,
        keep_dead=settings.keep_dead,
        keep_dead_max=settings.keep_dead_max,
    )
    await run.renewed.wait()  # so that passes follow the rhythm of a worker that rests
    while True:
        begun = trio.current_time()
        try:
            while await run.store.backend.prune(list(run.queues), retention, BATCH):
                if trio.current_time() >= begun + LONGEST:
                    break
        except BackendError as error:
            if isinstance(error, BackendUnavailable) and not error.refused:
                logger.debug("jobs past retention could not be dropped, the next pass will do: %s", error)
            else:
                logger.warning("jobs past retention can't be dropped; trying again in %g s: %s", INTERVAL, error)
        await trio.sleep_until(begun + INTERVAL)
