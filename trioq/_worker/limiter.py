"""Limiter: decides whether a claimed job may start, once it has its slot and token.  It never waits for either."""

from __future__ import annotations

from typing import assert_never

import trio

from .._core.lifecycle import Admission, admit
from .._core.outcome import CancelledByUser, Expired, Interrupted, Outcome
from .active_job import ActiveJob
from .run import WorkerRun


@trio.lowlevel.enable_ki_protection
async def limit(
    receive: trio.MemoryReceiveChannel[list[ActiveJob]], send: trio.MemorySendChannel[list[ActiveJob]], run: WorkerRun
) -> None:
    """Pass on the jobs that may start; end the others, whose slots and tokens come back at once."""
    with receive, send:
        async for batch in receive:
            now = run.store.now()
            admitted = [active for active in batch if admitted_or_ended(active, now, run)]
            if admitted:
                await send.send(admitted)


def admitted_or_ended(active: ActiveJob, now: float, run: WorkerRun) -> bool:
    """Whether the handler may begin now; a job that may not is ended here.

    A job whose lease ran out on its way here, because this process stood still, may run elsewhere by now.  It is
    released, which the store refuses where another worker has taken it.  A job whose TTL is in doubt is released, too.
    """
    admission = admit(active.job, now)
    give_back = run.draining or now >= active.start_by
    if admission is Admission.RUN and not give_back:
        return True
    run.end(active, Interrupted() if give_back else _refusal(admit(active.job, run.store.surely())))
    return False


def _refusal(admission: Admission) -> Outcome:
    match admission:
        case Admission.EXPIRED:
            return Expired()
        case Admission.CANCELLED:
            return CancelledByUser()
        case Admission.RUN | Admission.NOT_DUE:
            return Interrupted()
    assert_never(admission)
