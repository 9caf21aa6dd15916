"""Checks of ``watch``: hints come for what happens during a watch.  Other checks show that no hint is needed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from ..abc import Backend, Hint
from ..lifecycle import Cancel, Complete, Fail, Release
from ._given import OTHER, PATIENCE, QUEUE, Make, a_job, claimed_ids, held, move, some_jobs


async def _receive(hints: trio.abc.ReceiveChannel[Hint], wanted: Hint, why: str) -> None:
    """Wait until all of the *wanted* hints have come, in one or several."""
    missing = wanted
    with trio.move_on_after(PATIENCE):
        while missing:
            missing &= ~await hints.receive()
    assert not missing, f"no hint {missing} came: {why}"


async def check_each_kind_of_hint_comes(make: Make) -> None:
    """A hint comes when work may be ready, a held job was cancelled or jobs ended, and at a pause and a resume."""
    async with make() as backend, backend.watch([OTHER, QUEUE]) as hints:
        jobs = await held(backend, *some_jobs(4))
        await _receive(hints, Hint.READY, "jobs were inserted")
        events: list[tuple[str, Hint, Callable[[], Awaitable[object]]]] = [
            ("a job was released", Hint.READY, lambda: move(backend, jobs[0], Release())),
            ("a retry was planned", Hint.READY, lambda: move(backend, jobs[1], Fail("no", 1.0))),
            ("a job ended", Hint.FINISHED, lambda: move(backend, jobs[2], Complete())),
            ("a held job was cancelled", Hint.CANCELLED | Hint.FINISHED, lambda: move(backend, jobs[3], Cancel())),
            ("a queue was paused", Hint.PAUSED, lambda: backend.pause(QUEUE)),
            ("a queue was resumed", Hint.PAUSED | Hint.READY, lambda: backend.resume(QUEUE)),
        ]
        for why, wanted, happen in events:
            await happen()
            await _receive(hints, wanted, why)


async def check_hints_wait_for_a_slow_reader(make: Make) -> None:
    """Hints are level-triggered: each watcher that was busy when something happened gets the hint once it receives."""
    async with make() as backend, backend.watch([QUEUE]) as first, backend.watch([QUEUE]) as second:
        await backend.insert(some_jobs(3))
        await backend.pause(QUEUE)
        await backend.insert([a_job("more")])
        for hints in (first, second):
            await _receive(hints, Hint.READY | Hint.PAUSED, "both happened before the first receive")


async def check_a_watcher_that_waits_is_woken(make: Make) -> None:
    """A watcher that waits is woken once something happens, and can be cancelled until then."""
    async with make() as backend, backend.watch([QUEUE]) as hints:
        with trio.CancelScope() as scope:
            scope.cancel()
            await hints.receive()
        assert scope.cancelled_caught, "a receive can be cancelled"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_receive, hints, Hint.READY, "a job was inserted while the watcher waited")
            await trio.lowlevel.checkpoint()
            await backend.insert([a_job()])


async def check_a_watch_before_a_claim_misses_nothing(make: Make) -> None:
    """A worker that watches first, and then claims whenever a hint comes, gets every job without ever polling."""
    async with make() as backend, trio.open_nursery() as nursery, backend.watch([QUEUE]) as hints:
        nursery.start_soon(_insert_one_by_one, backend)
        found: list[str] = []
        with trio.move_on_after(PATIENCE):
            while len(found) < 20:
                found += await claimed_ids(backend, limit=3) or _none(await hints.receive())
        assert sorted(found, key=int) == [str(number) for number in range(20)], f"only {found} were found"


async def check_a_watcher_of_some_hints_hears_of_them(make: Make) -> None:
    """A watcher of one kind of hint receives that kind, whatever else happens."""
    async with make() as backend:
        for wanted in (Hint.READY, Hint.FINISHED, Hint.CANCELLED, Hint.PAUSED):
            async with backend.watch_only(wanted, [QUEUE]) as hints:
                done, cancelled = await held(backend, a_job(f"{wanted.name}-1"), a_job(f"{wanted.name}-2"))
                await move(backend, done, Complete())
                await move(backend, cancelled, Cancel())
                await backend.pause(QUEUE)
                await backend.resume(QUEUE)
                await _receive(hints, wanted, "that happened, among other things")


def _none(_: Hint) -> list[str]:
    return []


async def _insert_one_by_one(backend: Backend) -> None:
    for job in some_jobs(20):
        await backend.insert([job])
