"""Processes within one run: frozen, they stand still; killed, nothing of them happens any more, not even a finally.

These tests also guard what the simulator takes from the inside of Trio: where a new Trio has it elsewhere, they fail.
"""

from __future__ import annotations

import random
import time

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trioq.testing.simulation.processes import (
    EPOCH,
    Process,
    current_process,
    now,
    processes,
    repeatable_scheduling,
    wall_clocks,
)


@pytest.fixture
async def nursery_of_processes():
    with processes():
        async with trio.open_nursery() as nursery:
            yield nursery


async def count(log, *, seconds=1.0):
    """Note the time each second; say goodbye."""
    try:
        while True:
            await trio.sleep(seconds)
            log.append(trio.current_time())
    finally:
        log.append("finally")


async def test_a_frozen_process_stands_still_and_its_timers_go_off_at_the_thaw(autojump_clock, nursery_of_processes):
    begun, log = trio.current_time(), []
    process = Process("p")
    process.start_soon(nursery_of_processes, count, log)
    await trio.sleep(2.5)
    process.freeze()
    await trio.sleep(10)
    assert [at - begun for at in log] == [1, 2]
    process.thaw()
    await trio.sleep(1.25)
    assert [at - begun for at in log] == [1, 2, 12.5, 13.5]
    process.bury()


async def test_other_processes_go_on_meanwhile(autojump_clock, nursery_of_processes):
    frozen, free = Process("frozen"), Process("free")
    logs = {process: [] for process in (frozen, free)}
    for process, log in logs.items():
        process.start_soon(nursery_of_processes, count, log)
    frozen.freeze()
    await trio.sleep(3.5)
    assert [len(log) for log in logs.values()] == [0, 3]
    frozen.bury()
    free.bury()


async def test_nothing_of_a_killed_process_happens_not_even_a_finally(autojump_clock, nursery_of_processes):
    log = []
    process = Process("p")
    process.start_soon(nursery_of_processes, count, log)
    await trio.sleep(1.5)
    process.kill()
    assert process.dead
    assert process.gone.is_set()
    process.thaw()
    await trio.sleep(100)
    assert len(log) == 1
    process.bury()
    await wait_all_tasks_blocked()
    assert log[1:] == ["finally"]


async def test_a_task_that_is_about_to_run_is_held_back_too(nursery_of_processes):
    log = []
    process, gate = Process("p"), trio.Event()

    async def wait():
        await gate.wait()
        log.append("through")

    process.start_soon(nursery_of_processes, wait)
    await wait_all_tasks_blocked()
    gate.set()  # it would be next
    process.freeze()
    await wait_all_tasks_blocked()
    assert log == []
    process.thaw()
    await wait_all_tasks_blocked()
    assert log == ["through"]


async def test_what_a_process_starts_belongs_to_it(autojump_clock, nursery_of_processes):
    log = []

    async def parent():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count, log)
            nursery.start_soon(tell)

    async def tell():
        assert current_process() is process

    process = Process("p")
    process.start_soon(nursery_of_processes, parent)
    await trio.sleep(1.5)
    process.kill()
    await trio.sleep(10)
    assert len(log) == 1
    process.bury()


async def test_two_users_of_processes_may_leave_in_any_order(autojump_clock):
    log = []
    first, second = processes(), processes()
    first.__enter__()
    second.__enter__()
    async with trio.open_nursery() as nursery:
        process = Process("p")
        process.start_soon(nursery, count, log)
        process.freeze()
        first.__exit__(None, None, None)
        await trio.sleep(10)
        assert log == []
        process.bury()
    second.__exit__(None, None, None)
    assert log == ["finally"]


def test_each_process_has_a_wall_clock_of_its_own():
    async def main():
        with processes():
            async with trio.open_nursery() as nursery:
                process = Process("p")
                process.skew = -3600.0

                async def look():
                    await trio.sleep(2)
                    assert time.time() == EPOCH + 2 - 3600

                process.start_soon(nursery, look)
                await trio.sleep(1)
                assert time.time() == now() == EPOCH + 1

    before = time.time
    with wall_clocks():
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert time.time is before


def test_the_scheduler_shuffles_and_the_same_way_for_the_same_seed():
    def order(seed):
        ran = []

        async def main():
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(note, number)

        async def note(number):
            for _ in range(3):
                await trio.lowlevel.checkpoint()
                ran.append(number)

        with repeatable_scheduling(seed):
            trio.run(main)
        return ran

    random.seed()  # the dice are Trio's own
    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1) != sorted(order(1))
