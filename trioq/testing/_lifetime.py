"""Checks of a backend's lifetime: its users enter and leave in any order, and what is stored stays."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import trio

from .._core.errors import BackendBusy, BackendNotOpen
from ..abc import Backend
from ._given import QUEUE, SHORT, Make, a_job, all_ids, claimed_ids, store_time, wait_until


async def check_users_may_leave_in_any_order(make: Make) -> None:
    """The store is open from when the first user has entered until the last one has left."""
    backend = make()
    entered = [trio.Event() for _ in range(3)]
    leave = [trio.Event() for _ in range(3)]
    left = [trio.Event() for _ in range(3)]

    async def use(number: int) -> None:
        async with backend:
            entered[number].set()
            await leave[number].wait()
            await backend.insert([a_job(str(number))])
        left[number].set()

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(use, number)
            await entered[number].wait()
        for number in (0, 2, 1):  # the one that opened it leaves first
            assert backend.opened, "another user still uses it"
            leave[number].set()
            await left[number].wait()
    assert not backend.opened, "the last user has left"


async def check_a_cancelled_user_leaves_cleanly(make: Make) -> None:
    """A user that is cancelled leaves like any other, and the rest go on."""
    async with make() as backend:
        with trio.CancelScope() as scope:
            async with backend:
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        await backend.insert([a_job()])
        assert await all_ids(backend) == ["1"], "the other user goes on"


async def check_a_closed_backend_says_so(make: Make) -> None:
    """Before the first user, and after the last one, every verb raises BackendNotOpen."""
    backend = make()
    for _ in range(2):
        for verb in (lambda: backend.insert([a_job()]), lambda: backend.get("emails", []), backend.queues):
            with suppress(BackendNotOpen):
                await verb()
                raise AssertionError("a backend that isn't open raises BackendNotOpen")
        async with backend:
            await backend.queues()


async def check_a_backend_can_be_entered_again(make: Make) -> None:
    """Leaving a backend and entering it again, in one ``trio.run``, keeps every job."""
    backend = make()
    async with backend:
        before = (await backend.insert([a_job()])).now
    async with backend:
        assert await all_ids(backend) == ["1"], "what was stored is there"
        assert (await backend.insert([a_job("2")])).now >= before, "time does not go back"
        assert await claimed_ids(backend) == ["1", "2"], "and it works as before"


async def check_time_goes_on_after_a_backend_was_entered_again(make: Make) -> None:
    """However far a store's clock had come, it moves again once the backend is entered again."""
    backend = make()
    async with backend:
        await wait_until(backend, await store_time(backend) + SHORT)
        left = await store_time(backend)
    async with backend:
        entered = await store_time(backend)
        assert entered >= left, "the store's clock never goes back"
        await trio.sleep(SHORT / 50)
        assert await store_time(backend) > entered, "the store's clock moves"


async def check_one_run_after_another(make: Make) -> None:
    """Any number of ``trio.run`` may use a backend one after another; each finds what those before it have stored."""
    backend = make()

    async def one_run(number: int) -> list[str]:
        async with backend:
            await backend.insert([a_job(str(number))])
            return await all_ids(backend)

    for number in range(3):
        found = await trio.to_thread.run_sync(trio.run, one_run, number)
        assert found == [str(earlier) for earlier in range(number + 1)], "each run finds what was stored before"


async def check_one_run_at_a_time(make: Make) -> None:
    """A backend that is open in one ``trio.run`` refuses to be entered in another: BackendBusy."""
    async with make() as backend:
        refused = await trio.to_thread.run_sync(trio.run, _is_refused, backend)
        assert refused, "it is open in another trio.run"
        await backend.insert([a_job()])
        assert await all_ids(backend) == ["1"], "the run that has it open goes on"


async def check_verbs_belong_to_the_run_that_opened_it(make: Make) -> None:
    """A verb that is called in another ``trio.run`` than the one that has it open raises BackendBusy, and does nothing.

    After a run has ended without leaving, the backend is not open: verbs raise BackendNotOpen.
    """
    async with make() as backend:
        await backend.insert([a_job()])
        for verb in (partial(backend.insert, [a_job("2")]), partial(backend.counts, QUEUE), partial(_watch, backend)):
            with suppress(BackendBusy):
                await trio.to_thread.run_sync(trio.run, verb)
                raise AssertionError("it is open in another trio.run")
        assert await all_ids(backend) == ["1"], "the run that has it open goes on"
    left = make()
    await trio.to_thread.run_sync(trio.run, left.__aenter__)
    with suppress(BackendNotOpen):
        await left.queues()
        raise AssertionError("the run that had it open is over")
    async with left:
        await left.queues()


async def _watch(backend: Backend) -> None:
    async with backend.watch([QUEUE]):
        pass


async def _is_refused(backend: Backend) -> bool:
    try:
        async with backend:
            return False
    except BackendBusy:
        return True
