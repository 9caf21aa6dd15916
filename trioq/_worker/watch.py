"""Watch: wakes the other stages by the store's hints.  Only speed depends on them."""

from __future__ import annotations

import logging
from typing import Final

import trio

from .._core.errors import BackendError
from ..backends._base import Hint
from .run import WorkerRun

logger: Final = logging.getLogger("trioq.worker")

#: The hints that a worker acts on.  Ends of jobs are not among them: busy workers end jobs all the time.
_NEEDED: Final = Hint.READY | Hint.PAUSED | Hint.CANCELLED


@trio.lowlevel.enable_ki_protection
async def watch(run: WorkerRun, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Wake the other stages by hints, for as long as the run lasts.  Started once the first watch is open."""
    tries = 0
    while True:
        try:
            async with run.store.backend.watch_only(_NEEDED, list(run.queues)) as hints:
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                # Hints from before this watch are lost, so everything may have happened.
                run.ready.set()
                run.hear_of_cancel()
                async for hint in hints:
                    tries = 0
                    if hint & (Hint.READY | Hint.PAUSED):
                        run.ready.set()
                    if hint & Hint.CANCELLED:
                        run.hear_of_cancel()
        except BackendError as error:
            logger.debug("hints are lost, polling meanwhile: %s", error)
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
        tries += 1
        await run.store.pause(tries)
