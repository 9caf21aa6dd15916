"""Dequeue: claims what can start at once, and nothing more.  The first stage, and the first to end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import inf
from typing import Final

import trio

from .._core.batches import NextBatch
from .._core.errors import BackendError
from ..backends._base import Claimed
from .active_job import ActiveJob
from .run import WorkerRun

logger: Final = logging.getLogger("trioq.worker")

#: Seconds between two claims of an idle worker, should every hint get lost.  With the renewals and sweeps of the
#: default lease that makes less than one query a second.
POLL: Final = 2.5

#: The same, also between renewals and sweeps, for a worker that only runs until it is idle.  No other worker relies on
#: it, and in virtual time it may wait for days.
RESTING: Final = 60.0

#: Seconds before the next claim, at least, where one brought nothing although a job is due: another transaction has
#: locked its row.
LOCKED: Final = 0.05

#: Jobs in one claim, at most.
MOST: Final = 1_000

#: A worker with more slots than this claims for half of them at a time: one half runs while it claims for the other.
#: Else handlers and store would wait for each other all the time.  A claim must leave before the handlers of the last
#: one begin, so there is no checkpoint between a claim's reply and the next claim.
WHOLE: Final = 20


class Dequeue:
    """Takes slots and rate tokens, claims as many jobs, and hands them on; gives back at once what it did not use.

    *until_idle* ends the stage, and with it the worker, once there is nothing to claim and nothing held.
    *delayed* counts delayed jobs as something to claim.
    """

    def __init__(self, run: WorkerRun, *, until_idle: bool = False, delayed: bool = False) -> None:
        self._run = run
        self._until_idle = until_idle
        self._poll = RESTING if until_idle else POLL
        self._delayed = delayed
        if until_idle:
            run.resting = RESTING
        self._order = list(run.queues)
        self._batch = NextBatch(MOST, most=MOST)
        self._was_idle = True  #: whether nothing was held when the last claim was sent
        self._last_life_since: float | None = None

    async def run(self, send: trio.MemorySendChannel[list[ActiveJob]]) -> None:
        """Claim until the drain."""
        run = self._run
        tries = 0
        with send:
            while not run.draining:
                slots = await self._take()
                unused: Sequence[object] = slots
                asked = min(len(slots), self._batch.count)
                run.ready = trio.Event()  # before the claim: a hint during it makes another
                cancels = run.cancel_hints
                try:
                    reply = await self._claim(asked)
                    jobs = () if reply is None else reply.jobs
                    unused = slots[len(jobs) :]
                    batch = [
                        run.hold(job, slot, job.lease_until or inf) for job, slot in zip(jobs, slots, strict=False)
                    ]
                finally:
                    self._give_back(unused)
                if reply is None:
                    tries += 1
                    await run.store.pause(tries)
                    continue
                tries = 0
                if run.cancel_hints != cancels:
                    run.renew_now.set()  # the hint may be about a job that was still on its way here
                if batch:
                    send.send_nowait(batch)
                if await self._wait(reply, asked):
                    return

    async def _take(self) -> list[object]:
        """Take free slots, at least one, each with a rate token.  Neither is held while this waits."""
        run = self._run
        while True:
            while run.unsettled > run.slots.total_tokens:
                await run.settled.wait()
            slots = [object()]
            await _acquire(run.slots, slots[0])
            slots += [object() for _ in range(_free(run.slots))]
            for slot in slots[1:]:
                run.slots.acquire_on_behalf_of_nowait(slot)
            if run.rate is None:
                return slots
            tokens = run.rate.take(len(slots))
            self._release(slots[tokens:])
            if tokens:
                return slots[:tokens]
            await run.rate.wait_available()

    def _release(self, slots: Sequence[object]) -> None:
        for slot in slots:
            self._run.slots.release_on_behalf_of(slot)

    def _give_back(self, slots: Sequence[object]) -> None:
        self._release(slots)
        if self._run.rate is not None:
            self._run.rate.give_back(len(slots))

    async def _claim(self, limit: int) -> Claimed | None:
        """The store's reply to a claim; None without one: then the caller keeps no slot or token until the next try."""
        run = self._run
        self._order.append(self._order.pop(0))  # each queue goes first in its turn
        self._was_idle = run.idle
        run.claim_asked_at = trio.current_time()
        try:
            reply = await run.store.ask_once(
                lambda: run.store.backend.claim(self._order, limit, run.identity, run.limits.lease, self._was_idle)
            )
        except BackendError as error:
            logger.error("the store refused a claim, trying again: %s", error)
            return None
        finally:
            run.claim_asked_at = inf
        if reply is None:
            self._batch.note_failure(limit)
        else:
            self._batch.note_answer(len(reply.jobs), sum(len(job.payload) for job in reply.jobs))
            run.counts["claimed"] += len(reply.jobs)
        return reply

    async def _wait(self, reply: Claimed, asked: int) -> bool:
        """Wait until another claim may find something.  True when this worker must end, because it is idle."""
        run = self._run
        if reply.jobs and reply.jobs[0].last_life:
            await self._wait_empty()
            return False
        if self._last_life_waits(reply):
            await self._make_room()
            return False
        if len(reply.jobs) == asked:
            return False
        if self._until_idle and run.idle and not reply.jobs:
            if not self._was_idle:
                return False  # a job that ended during the claim may have enqueued more
            if not reply.last_life and not self._comes_due(reply):
                return True
        if reply.last_life and run.idle and not self._was_idle:
            return False  # the jobs that ended during the claim have left this worker idle
        due = inf if reply.next_due is None else reply.next_due - reply.now
        if due <= 0:
            due = 0.0 if reply.jobs else LOCKED
        run.claim_when_settled = self._until_idle or reply.last_life  # the last settle makes this worker idle
        with trio.move_on_after(min(due, self._poll)):
            await run.ready.wait()
        return False

    def _comes_due(self, reply: Claimed) -> bool:
        """Whether to wait for a delayed job: any with *delayed*, else one that is due and did not fit in a claim."""
        return reply.next_due is not None and (self._delayed or reply.next_due <= reply.now)

    def _last_life_waits(self, reply: Claimed) -> bool:
        """Whether a job on its last life has waited for an idle worker for one lease: then this worker becomes idle."""
        if not reply.last_life:
            self._last_life_since = None
            return False
        if self._last_life_since is None:
            self._last_life_since = reply.now
        return reply.now - self._last_life_since >= self._run.limits.lease

    async def _make_room(self) -> None:
        """Claim nothing until this worker holds no job, or another worker has taken the job on its last life."""
        while not self._run.idle:
            with trio.move_on_after(self._poll):
                await self._wait_empty()
                return
            reply = await self._claim(0)
            if reply is not None and not reply.last_life:
                return

    async def _wait_empty(self) -> None:
        """Claim nothing until this worker holds no job."""
        while not self._run.idle:
            await self._run.settled.wait()


async def _acquire(slots: trio.CapacityLimiter, borrower: object) -> None:
    """Take a slot, without a checkpoint where one is free: see `WHOLE`."""
    try:
        slots.acquire_on_behalf_of_nowait(borrower)
    except trio.WouldBlock:
        await slots.acquire_on_behalf_of(borrower)


def _free(slots: trio.CapacityLimiter) -> int:
    """How many more slots a claim may have: a shared limiter may be unlimited, and a claim is not."""
    most = min(MOST, max(WHOLE, slots.total_tokens // 2))
    return max(0, int(min(slots.available_tokens, most - 1)))
