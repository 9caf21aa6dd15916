"""Hints of the SQLite backend: which come in this process, and which in another.  Two objects count as two."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trioq._core.job import Job
from trioq._core.lifecycle import Cancel, Complete, Release, step
from trioq.backends._base import Hint
from trioq.backends.sqlite import SQLiteBackend
from trioq.backends.sqlite.wakeup import FileWatcher, Inotify, Listener, Polling, best_watcher


class PollingBackend(SQLiteBackend):
    """As on a system without file notification."""

    _make_watcher = staticmethod(lambda path: Polling())


def job(id: str = "a", **options: object) -> Job:
    return Job(id=id, queue="q", task="t", **options)


Pair = tuple[SQLiteBackend, SQLiteBackend]


@pytest.fixture(params=[SQLiteBackend, PollingBackend])
async def pair(request: pytest.FixtureRequest, tmp_path: Path, autojump_clock: MockClock) -> AsyncIterator[Pair]:
    """Inline, so that waiting for nothing to happen takes no time."""
    open_backend = partial(request.param, tmp_path / "jobs.db", inline=True)
    async with open_backend() as here, open_backend() as there:
        yield here, there


async def quiet(hints: trio.abc.ReceiveChannel[Hint], seconds: float = 3.0) -> bool:
    with trio.move_on_after(seconds):
        await hints.receive()
        return False
    return True


async def test_each_kind_of_hint_comes_here_and_in_the_other_process(pair: Pair, autojump_clock: MockClock) -> None:
    here, there = pair
    async with here.watch(["q"]) as ours, there.watch(["q"]) as theirs:

        async def both() -> Hint:
            with trio.fail_after(30):
                hint = await ours.receive()
                assert await theirs.receive() == hint
                return hint

        await here.insert([job("a"), job("b")])
        assert await both() == Hint.READY
        a, b = (await here.claim(["q"], 2, "w", 15, True)).jobs
        await here.settle([step(a, Release(), 1.0)])
        assert await both() == Hint.READY
        await here.settle([step(b, Complete(), 1.0)])
        assert await both() == Hint.FINISHED
        await here.settle([step(a.after(step(a, Release(), 1.0)), Cancel(), 1.0)])
        assert await both() == Hint.FINISHED
        await here.insert([job("c")])
        assert await both() == Hint.READY
        (c,) = (await here.claim(["q"], 1, "w", 15, True)).jobs
        await here.settle([step(c, Cancel(), 1.0)])
        assert await both() == Hint.FINISHED | Hint.CANCELLED
        await here.insert([job("d"), job("e")])
        assert await both() == Hint.READY
        await here.settle(
            [step(each, Complete(b"1"), 1.0) for each in (await here.claim(["q"], 2, "w", 15, True)).jobs]
        )
        assert await both() == Hint.FINISHED
        await here.pause("q")
        assert await both() == Hint.PAUSED
        await here.resume("q")
        assert await both() == Hint.PAUSED | Hint.READY


async def test_a_hint_comes_once_in_each_process_and_not_for_other_queues(
    pair: Pair, autojump_clock: MockClock
) -> None:
    here, there = pair
    async with there.watch(["q"]) as theirs, there.watch(["other"]) as others, here.watch(["q"]) as ours:
        await here.insert([job()])
        with trio.fail_after(30):
            await theirs.receive()
            await ours.receive()
        assert await quiet(theirs)
        assert await quiet(ours)
        assert await quiet(others)


async def test_a_hint_that_came_already_does_not_come_again_with_one_from_elsewhere(
    pair: Pair, autojump_clock: MockClock
) -> None:
    here, there = pair
    async with here.watch(["q"]) as hints:
        await here.insert([job()])
        assert await hints.receive() == Hint.READY
        await there.pause("q")
        with trio.fail_after(30):
            assert await hints.receive() == Hint.PAUSED


async def test_a_commit_before_a_backend_was_opened_gives_it_no_hint(pair: Pair, autojump_clock: MockClock) -> None:
    here, _ = pair
    await here.insert([job()])
    async with SQLiteBackend(here.database_path, inline=True) as late, late.watch(["q"]) as hints:
        assert await quiet(hints)


async def test_a_write_that_changes_nothing_gives_no_hint(pair: Pair, autojump_clock: MockClock) -> None:
    here, there = pair
    await here.insert([job()])
    async with here.watch(["q"]) as ours, there.watch(["q"]) as theirs:
        await theirs.receive()  # the insert, which this process had not looked at yet
        await here.insert([job()])
        await here.claim(["q"], 0, "w", 15, True)
        assert await quiet(ours)
        assert await quiet(theirs)


async def test_two_processes_may_notify_at_once_and_miss_nothing(pair: Pair, autojump_clock: MockClock) -> None:
    here, there = pair
    missing = {str(number) for number in range(40)}

    async def producer(backend: SQLiteBackend, ids: range) -> None:
        for number in ids:
            await backend.insert([job(str(number))])

    async with trio.open_nursery() as nursery, here.watch(["q"]) as hints:
        nursery.start_soon(producer, here, range(20))
        nursery.start_soon(producer, there, range(20, 40))
        with trio.fail_after(30):
            while missing:
                await hints.receive()
                missing -= {found.id for found in (await here.claim(["q"], 100, "w", 15, True)).jobs}


async def test_the_file_watcher_is_open_only_while_a_queue_is_watched(tmp_path: Path) -> None:
    watchers: list[str] = []

    class FileWatcher(Polling):
        def __init__(self) -> None:
            super().__init__()
            watchers.append("open")

        def close(self) -> None:
            watchers.append("closed")

    class Backend(SQLiteBackend):
        _make_watcher = staticmethod(lambda path: FileWatcher())

    async with Backend(tmp_path / "jobs.db") as backend:
        for _ in range(2):
            async with backend.watch(["q"]):
                async with backend.watch(["q"]):
                    pass
                assert watchers == ["open"]
            await wait_all_tasks_blocked()
            assert watchers == ["open", "closed"]
            watchers.clear()


async def test_the_file_that_wakes_other_processes_may_be_removed(tmp_path: Path) -> None:
    here, there = SQLiteBackend(tmp_path / "jobs.db"), SQLiteBackend(tmp_path / "jobs.db")
    async with here, there, there.watch(["q"]) as hints:
        (tmp_path / "jobs.db.wake").unlink()
        await wait_all_tasks_blocked()
        for id in "ab":
            await here.insert([job(id)])
            with trio.fail_after(30):
                await hints.receive()


async def test_it_polls_where_there_is_no_file_notification(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No such file|no inotify"):
        Inotify(str(tmp_path / "none" / "jobs.db.wake"))
    assert isinstance(best_watcher(str(tmp_path / "none" / "jobs.db.wake")), Polling)


async def test_polling_slows_down_while_nothing_changes(autojump_clock: MockClock) -> None:
    async def wait() -> float:
        start = trio.current_time()
        await watcher.listen()
        return trio.current_time() - start

    watcher = Polling()
    assert await wait() == pytest.approx(0.05)
    for _ in range(20):
        watcher.heard(False)
    assert await wait() == pytest.approx(0.25)
    watcher.heard(True)
    assert await wait() == pytest.approx(0.05)


async def test_a_listener_polls_on_after_its_file_watcher_has_failed(autojump_clock: MockClock) -> None:
    class Failing(Polling):
        closed = False

        async def listen(self) -> None:
            await super().listen()
            raise OSError("the watch is gone")

        def close(self) -> None:
            Failing.closed = True

    checks = 0

    async def check() -> bool:
        nonlocal checks
        checks += 1
        return False

    make: Callable[[], FileWatcher] = Failing
    async with Listener(make, check, lambda: None).listening():
        await trio.sleep(10)
    assert Failing.closed
    assert 40 <= checks <= 60
