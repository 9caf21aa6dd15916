"""`assert_idempotent`: which handlers it accepts, which it refuses, and what it says of those."""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trioq
from trioq.testing import assert_idempotent, enqueued


class World:
    """What handlers change and users look at."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def reset(self) -> None:
        self.rows.clear()

    def observe(self) -> list[Any]:
        return self.rows


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def queue() -> trioq.Queue:
    return trioq.Queue("ledger", trioq.InMemoryBackend())


@pytest.fixture
def look(world: World) -> dict[str, Any]:
    return {"observe": world.observe, "reset": world.reset}


async def refused(*args: Any, **kwargs: Any) -> str:
    """What it says against this handler."""
    with pytest.raises(AssertionError) as caught:
        await assert_idempotent(*args, **kwargs)
    return str(caught.value)


def nothing() -> None:
    """What there is to see where it is enough that a second run completes."""


def line_of(text: str) -> int:
    """The line of this file on which a comment stands."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    [found] = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {text}")]
    return found


# --- handlers that bear it ----------------------------------------------------------------------


@pytest.mark.parametrize("reset", [True, False])
async def test_a_handler_that_writes_under_a_key_of_its_own_passes(queue, world, reset: bool):
    table = {}

    @queue.task
    async def charge(amount: int) -> int:
        await trio.lowlevel.checkpoint()
        table[trioq.current_job().id] = amount
        await trio.lowlevel.checkpoint()
        return amount

    await assert_idempotent(charge, 30, observe=lambda: table, reset=table.clear if reset else None)
    assert len(table) == 1


async def test_a_transaction_that_was_not_committed_never_was(queue, tmp_path: Path):
    path = tmp_path / "app.db"

    @asynccontextmanager
    async def lifespan(worker: trioq.Worker) -> AsyncIterator[sqlite3.Connection]:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            yield connection

    def rows(sql: str = "SELECT * FROM charges") -> list[Any]:
        with closing(sqlite3.connect(path, timeout=0)) as connection, connection:
            return connection.execute(sql).fetchall()

    rows("CREATE TABLE charges (id PRIMARY KEY, amount)")

    @queue.task
    async def charge(amount: int) -> None:
        with trioq.current_job().resources as connection:
            connection.execute("INSERT INTO charges VALUES (?, ?) ON CONFLICT DO NOTHING", (trioq.current_job().id, 0))
            await trio.lowlevel.checkpoint()
            connection.execute("UPDATE charges SET amount = amount + ?", (amount,))
            await trio.lowlevel.checkpoint()
            done = connection.execute("SELECT amount FROM charges").fetchall()
            if done != [(amount,)]:
                raise ValueError(f"charged twice: {done}")

    said = await refused(charge, 30, observe=rows, reset=lambda: rows("DELETE FROM charges"), lifespan=lifespan)
    assert "when it had ended, before that was stored" in said  # every point within the transaction is harmless
    assert "ValueError: charged twice: [(60,)]" in said


# --- handlers that don't ------------------------------------------------------------------------


async def test_what_is_done_twice_is_told_with_the_point_of_the_crash(queue, world, look):
    @queue.task
    async def charge(amount: int) -> None:
        await trio.lowlevel.checkpoint()
        world.rows.append(amount)
        await trio.lowlevel.checkpoint()  # after the effect
        await trio.lowlevel.checkpoint()

    said = await refused(charge, 30, **look)
    line = f"line {line_of('after the effect')} of test_idempotent.py, in charge"
    assert said.splitlines()[:4] == [
        "charge is not idempotent. Its worker was killed at point 2 of 4,",
        f"  when it would have gone on from {line}: await trio.lowlevel.checkpoint()  # after the effect",
        "and another ran the job again. Things are not as after one undisturbed run:",
        "  observe() answers [30, 30], not [30]",
    ]
    assert "current_job().id" in said
    assert "reset" not in said


async def test_an_effect_just_before_the_end_is_found_by_the_crash_before_that_is_stored(queue, world, look):
    @queue.task
    async def charge(amount: int) -> None:
        await trio.lowlevel.checkpoint()
        world.rows.append(amount)

    said = await refused(charge, 30, **look)
    assert "point 2 of 2,\n  when it had ended, before that was stored" in said


async def test_no_finally_of_a_killed_handler_runs_before_the_comparison(queue, world, look):
    @queue.task
    async def charge() -> None:
        world.rows.append("locked")
        try:
            await trio.lowlevel.checkpoint()
        finally:
            world.rows.remove("locked")

    said = await refused(charge, **look)
    assert "point 1 of 2" in said
    assert "observe() answers ['locked'], not []" in said


async def test_another_result_the_second_time_is_told(queue, world, look):
    @queue.task
    async def count() -> int:
        world.rows.append("x")
        await trio.lowlevel.checkpoint()
        return len(world.rows)

    said = await refused(count, reset=world.reset)
    assert "it returned 2, not 1" in said
    assert "observe" not in said


async def test_another_ending_the_second_time_is_told(queue, world, look):
    @queue.task(max_retries=0)
    async def lock() -> None:
        if world.rows:
            raise RuntimeError("locked already")
        world.rows.append("locked")
        await trio.lowlevel.checkpoint()
        world.rows.clear()

    said = await refused(lock, **look)
    assert "it ended otherwise: failed, RuntimeError: locked already, not completed" in said
    assert "observe() answers ['locked'], not []" in said


async def test_jobs_that_are_enqueued_twice_are_an_effect_like_others(queue):
    @queue.task
    async def remind() -> None: ...

    @queue.task
    async def order(safely: bool) -> None:
        to = remind.options(id=f"remind-{trioq.current_job().id}") if safely else remind
        await to.enqueue()

    async def reminders() -> int:
        return len(await enqueued(queue, remind))

    async def reset() -> None:
        for job in await enqueued(queue, remind):
            await queue.remove(job.id)

    async with queue:
        await assert_idempotent(order, safely=True, observe=reminders, reset=reset)
        said = await refused(order, safely=False, observe=reminders, reset=reset)
    assert "when it had ended, before that was stored" in said
    assert "observe() answers 2, not 1" in said


async def test_without_reset_it_says_that_the_world_was_never_put_back(queue, world):
    @queue.task
    async def charge() -> None:
        await trio.lowlevel.checkpoint()
        world.rows.append(1)

    said = await refused(charge, observe=world.observe)
    assert "point 1 of 2" in said
    assert said.endswith("(Without reset=, each run found what all those before it had left.)")


async def test_a_handler_that_never_completes_is_named_so(queue, look):
    @queue.task(max_retries=1)
    async def fail() -> None:
        raise KeyError("x")

    assert await refused(fail, **look) == "fail does not complete even undisturbed: failed, KeyError: 'x'"


async def test_a_handler_that_differs_by_itself_is_not_blamed_on_a_crash(queue, world):
    counted = iter(range(100))

    @queue.task
    def number() -> int:
        return next(counted)

    @queue.task
    async def flighty() -> int:
        for _ in range(3 - min(next(counted), 3)):
            await trio.lowlevel.checkpoint()
        return next(counted)

    assert "it returned" in await refused(number)
    counted = iter(range(100))
    assert "not idempotent" in await refused(flighty)


async def test_a_task_that_returns_nothing_is_refused_without_observe(queue, world):
    @queue.task
    async def charge() -> None:
        world.rows.append(30)

    with pytest.raises(TypeError, match=r"charge returns nothing.*observe="):
        await assert_idempotent(charge)
    assert world.rows == [30]  # nothing was tried in vain


# --- the points ---------------------------------------------------------------------------------


async def test_it_is_killed_once_at_each_checkpoint_and_before_its_end_is_stored(queue, world):
    runs = []

    @queue.task
    async def steps() -> None:
        done = []
        runs.append((trioq.current_job().run, done))
        for number in range(3):
            await trio.lowlevel.checkpoint()
            done.append(number)

    seen = []
    await assert_idempotent(
        steps, observe=lambda: seen.append([(run, list(done)) for run, done in runs]), reset=runs.clear
    )
    whole = [0, 1, 2]
    assert seen == [[(1, whole)]] + [[(1, whole[:points]), (2, whole)] for points in (0, 1, 2, 3)]


async def test_each_run_of_a_job_that_is_retried_or_snoozed_has_its_points(queue, world, look):
    @queue.task(max_retries=1, backoff=trioq.Fixed(86_400))
    async def twice() -> int:
        job = trioq.current_job()
        await trio.lowlevel.checkpoint()
        if not world.rows:
            world.rows.append("snoozed")
            raise trioq.Snooze(86_400)
        if world.rows == ["snoozed"]:
            world.rows.append("failed")
            raise KeyError("x")
        world.rows.append(job.attempt)
        return 1

    said = await refused(twice, **look)
    assert "point 4 of 6,\n  when it had ended" in said
    assert "observe() answers ['snoozed', 'failed', 1], not ['snoozed', 'failed', 2]" in said


async def test_the_tasks_of_a_handler_die_with_it(queue, world, look):
    async def child() -> None:
        await trio.lowlevel.checkpoint()
        world.rows.append("child")
        await trio.lowlevel.checkpoint()  # of the child

    @queue.task
    async def parent() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    said = await refused(parent, **look)
    assert f"line {line_of('of the child')} of test_idempotent.py, in child" in said
    assert "observe() answers ['child', 'child'], not ['child']" in said


async def test_a_crash_in_a_task_without_a_line_of_its_own_is_placed_in_the_handler(queue, world, look):
    @queue.task
    async def parent() -> None:
        world.rows.append(1)
        async with trio.open_nursery() as nursery:  # the nursery
            nursery.start_soon(trio.sleep, 0)

    assert f"line {line_of('the nursery')} of test_idempotent.py, in parent" in await refused(parent, **look)


async def test_what_a_handler_has_begun_in_a_thread_is_done_before_it_is_run_again(queue, world, look):
    @queue.task
    async def slow() -> None:
        await trio.to_thread.run_sync(lambda: world.rows.append("thread"))

    said = await refused(slow, **look)
    assert "observe() answers ['thread', 'thread'], not ['thread']" in said


async def test_what_a_thread_of_the_handler_runs_on_the_loop_has_its_points(queue, world, look):
    async def on_the_loop() -> None:
        world.rows.append("thread")
        await trio.lowlevel.checkpoint()

    @queue.task
    async def slow() -> None:
        await trio.to_thread.run_sync(trio.from_thread.run, on_the_loop)  # by a thread

    said = await refused(slow, **look)
    assert f"line {line_of('by a thread')} of test_idempotent.py, in slow" in said
    assert "observe() answers ['thread', 'thread'], not ['thread']" in said


async def test_the_line_is_the_handlers_also_where_it_is_decorated(queue, world, look):
    def logged(fn):
        @wraps(fn)
        async def wrapper():
            return await fn()

        return wrapper

    @queue.task
    @logged
    async def charge() -> None:
        world.rows.append(1)
        await trio.lowlevel.checkpoint()  # below a decorator

    assert f"line {line_of('below a decorator')} of" in await refused(charge, **look)


async def test_a_sandboxed_handler_is_killed_only_before_its_end_is_stored(queue, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "sandbox")
    add = queue.task(sandbox=True)(importlib.import_module("sandboxed").add)
    started = []
    unsubscribe = trioq.event_emitter.on("job:started", lambda event: started.append(event.run))
    await assert_idempotent(add, 1)
    unsubscribe()
    assert started == [1, 1, 2]


async def test_a_plain_function_is_killed_only_before_its_end_is_stored(queue, world, look):
    @queue.task
    def charge() -> None:
        world.rows.append(1)

    said = await refused(charge, **look)
    assert "point 1 of 1,\n  when it had ended, before that was stored" in said
    world.rows.append(1)

    @queue.task
    def put() -> int:
        world.rows[:] = [1]
        return trioq.current_job().attempt

    await assert_idempotent(put, **look)


# --- what the handler finds ---------------------------------------------------------------------


async def test_the_handler_finds_its_job_and_its_options_apply(queue, autojump_clock):
    seen = []

    @queue.task(timeout=5, max_retries=0)
    async def slow(seconds: float) -> None:
        job = trioq.current_job()
        seen.append((job.id, job.task, job.attempt, job.metadata))
        await trio.sleep(seconds)

    await assert_idempotent(slow.options(id="7", metadata={"a": 1}, delay=1, ttl=2).bind(1), observe=nothing)
    assert set(map(repr, seen)) == {repr(("7", "slow", 1, {"a": 1}))}
    assert "TimedOut" in await refused(slow, 6)


async def test_limits_of_the_queue_do_not_count(autojump_clock):
    settings = trioq.Settings(rate_limit=1, rate_interval=86_400, max_crashes=1, keep_completed=0, keep_completed_max=0)
    queue = trioq.Queue("ledger", trioq.InMemoryBackend(), settings)

    @queue.task(max_retries=3, backoff=trioq.Fixed(1))
    async def work() -> None:
        await trio.sleep(100)
        if trioq.current_job().attempt < 3:
            raise KeyError("later")

    with trio.fail_after(10_000):
        await assert_idempotent(work, observe=nothing)


async def test_resources_are_what_was_given(queue, world, look):
    @queue.task
    async def charge() -> None:
        trioq.current_job().resources.rows.append(1)
        await trio.lowlevel.checkpoint()

    assert "[1, 1], not [1]" in await refused(charge, resources=world, **look)


async def test_each_worker_enters_a_lifespan_of_its_own_and_a_dead_one_leaves_it_at_once(queue):
    told = []

    @asynccontextmanager
    async def lifespan(worker: trioq.Worker) -> AsyncIterator[int]:
        told.append("enter")
        yield len(told)
        told.append("leave")

    @queue.task
    async def work() -> None:
        told.append(f"run {trioq.current_job().run}")
        await trio.lowlevel.checkpoint()
        told.append("done")

    await assert_idempotent(work, lifespan=lifespan, reset=told.clear, observe=nothing)
    assert told == ["enter", "run 1", "done", "leave", "enter", "run 2", "done", "leave"]

    seen = []
    await assert_idempotent(work, lifespan=lifespan, reset=told.clear, observe=lambda: seen.append(list(told)))
    assert seen[1] == ["enter", "run 1", "leave", "enter", "run 2", "done", "leave"]


async def test_a_lock_that_the_dead_worker_holds_is_named_as_what_the_second_one_waits_for(queue, autojump_clock):
    lock = trio.Lock()

    @queue.task
    async def work() -> None:
        async with lock:
            await trio.sleep(1)

    assert "its second run does not end. Does it wait for a lock" in await refused(work, observe=nothing)


async def test_a_pool_with_tasks_of_its_own_outlives_the_handler_that_began_them(queue, world, look):
    @asynccontextmanager
    async def lifespan(worker: trioq.Worker) -> AsyncIterator[trio.Nursery]:
        async with trio.open_nursery() as nursery:
            yield nursery
            nursery.cancel_scope.cancel()

    @queue.task
    async def work() -> None:
        trioq.current_job().resources.start_soon(trio.sleep_forever)
        await trio.lowlevel.checkpoint()

    with trio.fail_after(10):
        await assert_idempotent(work, lifespan=lifespan, observe=nothing)


async def test_what_observe_answers_may_be_alive(queue, world):
    @queue.task
    async def charge() -> None:
        world.rows.append(1)

    assert "[1, 1], not [1]" in await refused(charge, observe=lambda: world.rows, reset=world.reset)


async def test_what_observe_answers_must_be_a_value(queue, tmp_path):
    @queue.task
    async def work() -> None: ...

    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(TypeError, match="plain values"):
        await assert_idempotent(work, observe=lambda: connection)


# --- how it is called ---------------------------------------------------------------------------


async def test_nothing_of_it_is_in_the_queue_of_the_application(queue):
    @queue.task
    async def work() -> None: ...

    async with queue:
        await assert_idempotent(work, observe=nothing)
        assert set((await queue.counts()).values()) == {0}


async def test_wrong_calls_are_answered_with_the_way_to_mend_them(queue):
    @queue.task
    async def work(number: int) -> None: ...

    with pytest.raises(TypeError, match="takes a task and its arguments"):
        await assert_idempotent(work.fn)
    with pytest.raises(TypeError, match="has its arguments"):
        await assert_idempotent(work.bind(1), 1)
    with pytest.raises(TypeError, match="exclude each other"):
        await assert_idempotent(work, 1, resources=1, lifespan=lambda _: None)
    with pytest.raises(trioq.WrongArguments):
        await assert_idempotent(work)
    newer = trioq.Queue(queue.name, queue.backend)
    with pytest.raises(ValueError, match="has no task 'work'"):
        await assert_idempotent(work.bind(1))
    assert newer.number > queue.number


@pytest.mark.parametrize("raises", ["observe", "reset", "lifespan"])
async def test_what_the_callers_own_functions_raise_comes_out_as_it_is(queue, raises: str):
    class Broken(Exception):
        pass

    def broken(*_: Any) -> None:
        raise Broken

    @queue.task
    async def work() -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(Broken):
        await assert_idempotent(work, **{raises: broken})


async def test_it_can_be_cancelled(queue, autojump_clock):
    @queue.task
    async def work() -> None:
        await trio.sleep(100)

    with trio.move_on_after(150) as scope:
        await assert_idempotent(work, observe=nothing)
    assert scope.cancelled_caught
    with trio.fail_after(1_000):
        await assert_idempotent(work, observe=nothing)  # and used again


def test_it_needs_neither_virtual_nor_real_time(queue, world, look):
    @queue.task(max_retries=3, backoff=trioq.Fixed(86_400))
    async def charge() -> None:
        await trio.lowlevel.checkpoint()
        if trioq.current_job().attempt < 3:
            raise KeyError("later")
        world.rows[:] = ["charged"]

    async def check() -> None:
        with trio.fail_after(30):
            await assert_idempotent(charge, **look)

    trio.run(check)
    trio.run(check, clock=MockClock())
    trio.run(check, clock=MockClock(autojump_threshold=0))
