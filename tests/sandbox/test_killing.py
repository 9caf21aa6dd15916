"""Whatever ends a sandboxed handler also ends its process and all that it has started.  Real processes.

No test waits for time to pass: a named pipe tells when the handler runs, and when the last process is gone.  That
every process was reaped is checked after each test, by a fixture.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from trioq._core.payload import NO_ARGUMENTS, Signature
from trioq.sandbox import Sandbox, Target, run_handler

LIMIT = 2**20


async def test_a_cancelled_handler_is_killed_with_its_children_and_reaped(handlers, fifo):
    payload = Signature.of(handlers.hold).encode([fifo.path], {}, LIMIT)
    async with Sandbox() as sandbox:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sandbox.run, Target.of(handlers.hold), payload, LIMIT)
                assert await fifo.wait_held() == "running\n"
                nursery.cancel_scope.cancel()
            assert await fifo.wait_free() == ""


async def test_a_handler_over_its_timeout_is_killed_with_its_children(handlers, fifo, mock_clock):
    async def jump():
        assert await fifo.wait_held() == "running\n"
        mock_clock.jump(30)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(jump)
        with pytest.raises(TimeoutError, match=r"^sandboxed\.hold took longer than 30 s, and was killed"):
            await run_handler(handlers.hold, [fifo.path], timeout=30)
        assert await fifo.wait_free() == ""


async def test_a_handler_that_is_cancelled_while_its_process_starts_leaves_nothing(handlers):
    with trio.move_on_after(0):
        await run_handler(handlers.pid)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_handler, handlers.pid)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_handlers_die_with_a_worker_that_is_killed(handlers, fifo):
    program = "import sys, trio, sandboxed, trioq.sandbox as s; trio.run(s.run_handler, sandboxed.hold, [sys.argv[1]])"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    start = partial(
        trio.run_process,
        [sys.executable, "-c", program, fifo.path],
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            worker = await nursery.start(start)
            assert await fifo.wait_held() == "running\n"
            worker.kill()
            assert await fifo.wait_free() == ""
    assert worker.returncode == -signal.SIGKILL


@pytest.mark.slow
async def test_many_calls_leave_neither_processes_nor_descriptors(handlers):
    calls = [("pid", []), ("fail", ["no"]), ("vanish", [1]), ("leave_a_process", []), ("pid", [])]

    async def call(name, args):
        fn = getattr(handlers, name)
        await sandbox.run(Target.of(fn), Signature.of(fn).encode(args, {}, LIMIT), LIMIT)

    await trio.to_thread.run_sync(int)  # Trio's first thread opens descriptors that stay
    before = open_descriptors()
    async with Sandbox(keep=2) as sandbox, trio.open_nursery() as nursery:
        for _ in range(4):
            for name, args in calls:
                nursery.start_soon(call, name, args)
    assert open_descriptors() == before


async def test_a_kept_process_runs_the_next_handler(handlers):
    async with Sandbox() as sandbox:
        assert await pids(sandbox, handlers.pid, handlers.pid) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["leave_a_process", "leave_a_thread"])
async def test_a_process_where_a_handler_left_something_running_is_not_kept(handlers, name):
    async with Sandbox() as sandbox:
        assert await pids(sandbox, getattr(handlers, name), handlers.pid) == 2


async def test_a_sandbox_that_keeps_nothing_starts_afresh(handlers):
    async with Sandbox(keep=0) as sandbox:
        assert await pids(sandbox, handlers.pid, handlers.pid) == 2


@pytest.mark.slow
async def test_a_kept_process_that_died_meanwhile_is_replaced(handlers):
    async with Sandbox() as sandbox:
        first = await sandbox.run(Target.of(handlers.pid), NO_ARGUMENTS, LIMIT)
        os.kill(int(first.result), signal.SIGKILL)
        await trio.lowlevel.wait_readable(sandbox._idle[0]._link)  # which has ended
        second = await sandbox.run(Target.of(handlers.pid), NO_ARGUMENTS, LIMIT)
        assert second.result != first.result


@pytest.mark.slow
async def test_kept_processes_end_with_their_sandbox_even_when_it_is_cancelled(handlers):
    with trio.CancelScope() as scope:
        async with Sandbox() as sandbox:
            await sandbox.run(Target.of(handlers.pid), NO_ARGUMENTS, LIMIT)
            scope.cancel()


@pytest.mark.slow
async def test_a_handler_that_outlasts_its_sandbox_ends_its_process_itself(handlers, fifo):
    payload = Signature.of(handlers.knock).encode([fifo.path], {}, LIMIT)
    async with trio.open_nursery() as nursery:
        async with Sandbox() as sandbox:
            nursery.start_soon(sandbox.run, Target.of(handlers.knock), payload, LIMIT)  # noqa: ASYNC111  on purpose
        assert await fifo.wait_held() == "knock"
        assert await fifo.wait_free() == ""


async def pids(sandbox, *functions):
    """In how many processes these handlers ran, one after another."""
    outcomes = [await sandbox.run(Target.of(fn), NO_ARGUMENTS, LIMIT) for fn in functions]
    return len({outcome.result for outcome in outcomes})


def open_descriptors():
    return len(list(Path("/dev/fd").iterdir()))
