"""Group commit of the SQLite backend: which requests share a transaction or an error, and how long a caller waits."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from trioq._core.errors import BackendError, BackendNotOpen, BackendUnavailable
from trioq._core.job import Job, State
from trioq.backends._base import Hint, Presence
from trioq.backends.sqlite import SQLiteBackend
from trioq.backends.sqlite.group_commit import GroupCommit, Request, Transaction
from trioq.backends.sqlite.hint_counters import HintCounters
from trioq.backends.sqlite.schema import open_database


def job(id: str = "a", **options: object) -> Job:
    return Job(id=id, queue="q", task="t", **options)


def presence(lease: float) -> Presence:
    return Presence(worker="w", name="w", host="here", slots=1, lease=lease)


# --- the transaction, without a thread ----------------------------------------------------------


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    db = open_database(str(tmp_path / "jobs.db"), str(tmp_path / "jobs.db"), "FULL")
    db.execute("CREATE TABLE notes (note PRIMARY KEY, about REFERENCES jobs (seq) DEFERRABLE INITIALLY DEFERRED)")
    db.execute("PRAGMA foreign_keys = ON")
    yield db
    db.close()


@pytest.fixture
def commit(db: sqlite3.Connection, tmp_path: Path) -> GroupCommit:
    path = str(tmp_path / "jobs.db")
    return GroupCommit(db, path, lambda: 7.0, HintCounters(path))


def note(text: str, *, about: int | None = None, then: BaseException | None = None) -> Request:
    def work(tx: Transaction) -> str:
        tx.db.execute("INSERT INTO notes VALUES (?, ?)", (text, about))
        tx.notify(Hint.READY, text)
        if then is not None:
            raise then
        return text

    return Request(work, writes=True)


def notes(db: sqlite3.Connection) -> list[str]:
    return [text for (text,) in db.execute("SELECT note FROM notes ORDER BY note")]


def test_a_request_that_raises_is_undone_alone(commit: GroupCommit, db: sqlite3.Connection) -> None:
    requests = [note("a"), note("b", then=ValueError("no")), note("a"), note("c")]
    served, queue_hints = commit.serve(requests)
    assert (served, dict(queue_hints)) == (4, {"a": Hint.READY, "c": Hint.READY})
    assert [type(request.error) for request in requests] == [type(None), ValueError, sqlite3.IntegrityError, type(None)]
    assert (requests[0].answer(), notes(db)) == ("a", ["a", "c"])


def test_a_read_that_raises_leaves_the_writes_of_its_group_as_they_are(
    commit: GroupCommit, db: sqlite3.Connection
) -> None:
    read = Request(lambda tx: tx.db.execute("SELECT nothing"), writes=False)
    requests = [note("a"), read, note("b")]
    assert commit.serve(requests)[0] == 3
    assert isinstance(read.error, sqlite3.OperationalError)
    assert notes(db) == ["a", "b"]


def test_a_lone_request_that_raises_leaves_nothing(commit: GroupCommit, db: sqlite3.Connection) -> None:
    request = note("a", then=ValueError("no"))
    assert commit.serve([request]) == (1, {})
    assert isinstance(request.error, ValueError)
    assert (notes(db), db.in_transaction) == ([], False)


def test_a_failed_commit_fails_every_request_of_the_group(commit: GroupCommit, db: sqlite3.Connection) -> None:
    # A reference to a job that isn't there is found at COMMIT only.
    requests = [note("a"), note("b", about=99), note("c", then=ValueError("its own"))]
    assert commit.serve(requests) == (3, {})
    assert [type(request.error) for request in requests] == [sqlite3.IntegrityError] * 2 + [ValueError]
    assert (notes(db), db.in_transaction) == ([], False)
    assert commit.serve([note("d")])[0] == 1
    assert notes(db) == ["d"]


def test_a_full_disk_fails_every_request_of_the_group(commit: GroupCommit, db: sqlite3.Connection) -> None:
    db.execute("PRAGMA max_page_count = 1")
    requests = [note("a"), note("b" * 100_000), note("c")]
    served, _ = commit.serve(requests)
    assert served == 2
    assert all(isinstance(request.error, sqlite3.OperationalError) for request in requests[:2])
    assert (notes(db), db.in_transaction) == ([], False)


def test_a_withdrawn_request_does_not_begin(commit: GroupCommit, db: sqlite3.Connection) -> None:
    requests = [note("a"), note("b")]
    requests[0].withdraw()
    commit.serve(requests)
    assert notes(db) == ["b"]


def test_a_request_that_has_begun_is_not_withdrawn(commit: GroupCommit, db: sqlite3.Connection) -> None:
    request = note("a")
    commit.serve([request])
    request.withdraw()
    assert not request.withdrawn


def test_no_lock_is_waited_for_once_every_write_is_withdrawn(commit: GroupCommit, tmp_path: Path) -> None:
    write, read = note("a"), Request(lambda tx: tx.now, writes=False)
    write.withdraw()
    with locked(tmp_path / "jobs.db"):
        commit.serve([write, read])
    assert read.answer() == 7.0


def test_a_long_transaction_leaves_the_rest_for_the_next(commit: GroupCommit, db: sqlite3.Connection) -> None:
    slow = Request(lambda tx: time.sleep(0.06), writes=True)
    assert commit.serve([note("a"), slow, note("b")])[0] == 2
    assert notes(db) == ["a"]


def test_reads_take_no_lock(commit: GroupCommit, tmp_path: Path) -> None:
    with locked(tmp_path / "jobs.db"):
        read = Request(lambda tx: tx.now, writes=False)
        commit.serve([read])
    assert read.answer() == 7.0


# --- the thread ---------------------------------------------------------------------------------


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[SQLiteBackend]:
    async with SQLiteBackend(tmp_path / "jobs.db") as backend:
        yield backend


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process writes."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


class Gate:
    """Holds the thread inside a transaction, until it is opened."""

    def __init__(self, backend: SQLiteBackend) -> None:
        self.backend = backend
        self.reached = threading.Event()
        self.opened = threading.Event()

    def work(self, tx: Transaction) -> None:
        self.reached.set()
        assert self.opened.wait(10)

    async def hold(self) -> None:
        await self.backend._write(self.work)


@pytest.fixture
async def gate(backend: SQLiteBackend, nursery: trio.Nursery) -> AsyncIterator[Gate]:
    gate = Gate(backend)
    nursery.start_soon(gate.hold)
    await trio.to_thread.run_sync(gate.reached.wait)
    yield gate
    gate.opened.set()


async def test_requests_that_wait_share_a_commit_and_are_resumed_after_it(
    backend: SQLiteBackend, nursery: trio.Nursery, gate: Gate, tmp_path: Path
) -> None:
    resumed: list[str] = []
    last = Gate(backend)

    async def insert(id: str) -> None:
        await backend.insert([job(id)])
        resumed.append(id)

    nursery.start_soon(insert, "a")
    await wait_all_tasks_blocked()
    nursery.start_soon(last.hold)
    await wait_all_tasks_blocked()
    gate.opened.set()
    await trio.to_thread.run_sync(last.reached.wait)
    # "a" was inserted by now, in the transaction that `last` holds open.
    await wait_all_tasks_blocked()
    assert resumed == []
    last.opened.set()
    while not resumed:
        await trio.lowlevel.checkpoint()
    other = sqlite3.connect(tmp_path / "jobs.db")
    assert other.execute("SELECT id FROM jobs").fetchall() == [("a",)]
    other.close()


async def test_a_write_is_cancelled_before_it_leaves(backend: SQLiteBackend) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await backend.insert([job()])
    assert scope.cancelled_caught
    assert (await backend.get("q", ["a"])).jobs == [None]


async def test_a_write_that_has_begun_brings_its_reply_though_it_was_cancelled(
    backend: SQLiteBackend, nursery: trio.Nursery
) -> None:
    gate = Gate(backend)
    with trio.CancelScope() as scope:
        nursery.start_soon(open_later, gate, scope)
        await gate.hold()
        returned = True
    assert returned
    assert scope.cancel_called
    assert not scope.cancelled_caught


async def cancel_once_begun(gate: Gate, scope: trio.CancelScope) -> None:
    await trio.to_thread.run_sync(gate.reached.wait)
    scope.cancel()


async def open_later(gate: Gate, scope: trio.CancelScope) -> None:
    await cancel_once_begun(gate, scope)
    await wait_all_tasks_blocked()
    gate.opened.set()


async def test_a_write_that_has_begun_gives_up_at_its_patience_though_it_was_cancelled(
    backend: SQLiteBackend, nursery: trio.Nursery
) -> None:
    backend.patience = 0.05
    gate = Gate(backend)
    with trio.CancelScope() as scope, pytest.raises(BackendUnavailable, match="unknown"):
        nursery.start_soon(cancel_once_begun, gate, scope)
        await gate.hold()
    gate.opened.set()


async def test_a_write_that_waits_for_its_group_leaves_it_when_cancelled(backend: SQLiteBackend, gate: Gate) -> None:
    with trio.move_on_after(0.01) as scope:
        await backend.insert([job()])
    assert scope.cancelled_caught
    gate.opened.set()
    assert (await backend.get("q", ["a"])).jobs == [None]


async def test_writes_that_wait_for_a_lock_are_cancelled_at_once_and_never_stored(
    backend: SQLiteBackend, tmp_path: Path
) -> None:
    with locked(tmp_path / "jobs.db"):
        with trio.move_on_after(0.05) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(backend.insert, [job("a")])
                nursery.start_soon(backend.insert, [job("b")])
        assert scope.cancelled_caught
        # Nor does the lock keep those waiting who only read.
        with trio.fail_after(30):
            assert (await backend.get("q", ["a", "b"])).jobs == [None, None]
    assert (await backend.get("q", ["a", "b"])).jobs == [None, None]


async def test_a_read_is_cancelled_at_once(backend: SQLiteBackend, gate: Gate) -> None:
    with trio.move_on_after(0.01) as scope:
        await backend.counts("q")
    assert scope.cancelled_caught
    assert not gate.opened.is_set()


async def test_a_write_gives_up_after_a_third_of_the_lease_and_then_never_happens(
    backend: SQLiteBackend, gate: Gate
) -> None:
    with pytest.raises(BackendUnavailable, match="nothing was written"):
        await backend.claim(["q"], 1, "w", lease=0.09, idle=True)
    with pytest.raises(BackendUnavailable, match=r"0\.02 s"):
        await backend.renew(presence(lease=0.06), [])
    gate.opened.set()
    assert await backend.workers() == []


async def test_the_lease_of_a_worker_hurries_its_own_writes_only(backend: SQLiteBackend, nursery: trio.Nursery) -> None:
    await backend.claim(["q"], 1, "w", lease=0.3, idle=True)
    gate = Gate(backend)
    nursery.start_soon(gate.hold)
    await trio.to_thread.run_sync(gate.reached.wait)
    with pytest.raises(BackendUnavailable, match=r"0\.1 s"):
        await backend.settle([])
    nursery.start_soon(backend.insert, [job()])
    await trio.sleep(0.25)  # past a third of the lease, and past the lease
    nursery.start_soon(backend.settle, [])
    await trio.sleep(0.15)
    gate.opened.set()
    assert (await backend.counts("q"))[State.WAITING] == 1


async def test_leases_are_forgotten_when_the_backend_is_closed(tmp_path: Path) -> None:
    backend = SQLiteBackend(tmp_path / "jobs.db", inline=True)
    for lease in (0.06, None):
        async with backend:
            assert backend._write_deadlines.shortest() == inf
            if lease is not None:
                await backend.renew(presence(lease), [])
                assert backend._write_deadlines.shortest() == lease


async def test_a_request_to_a_closed_thread_names_the_backend(backend: SQLiteBackend) -> None:
    assert backend._thread is not None
    backend._thread.abandon()
    with pytest.raises(BackendNotOpen, match="SQLiteBackend is not open"):
        await backend.counts("q")


async def test_a_lock_is_waited_for(backend: SQLiteBackend, nursery: trio.Nursery, tmp_path: Path) -> None:
    with locked(tmp_path / "jobs.db"):
        nursery.start_soon(backend.insert, [job()])
        await trio.to_thread.run_sync(time.sleep, 0.05)
    assert (await backend.counts("q"))[State.WAITING] == 1


async def test_a_lock_that_is_never_given_up_makes_the_store_unavailable(
    backend: SQLiteBackend, tmp_path: Path
) -> None:
    backend.patience = 0.05
    with locked(tmp_path / "jobs.db"), pytest.raises(BackendUnavailable):
        await backend.insert([job()])
    backend.patience = 5.0
    assert (await backend.insert([job()])).created == [True]


async def test_a_write_that_was_given_up_while_the_loop_was_busy_is_no_success(
    backend: SQLiteBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread comes to it after it was withdrawn, and before its caller is told that there was no answer."""
    backend.patience = 0.1
    lock = locked(tmp_path / "jobs.db")
    lock.__enter__()
    withdraw = Request.withdraw

    def withdraw_on_a_busy_loop(request: Request) -> None:
        withdraw(request)
        lock.__exit__(None, None, None)
        while not request.served:
            time.sleep(0.01)

    monkeypatch.setattr(Request, "withdraw", withdraw_on_a_busy_loop)
    with pytest.raises(BackendUnavailable, match="nothing was written"):
        await backend.insert([job()])
    assert (await backend.counts("q"))[State.WAITING] == 0


async def test_a_file_opens_while_another_process_writes_to_it(tmp_path: Path) -> None:
    async with SQLiteBackend(tmp_path / "jobs.db"):
        pass
    with locked(tmp_path / "jobs.db"):
        async with SQLiteBackend(tmp_path / "jobs.db") as backend:
            assert await backend.queues() == []


async def test_closing_does_not_wait_for_a_lock(tmp_path: Path) -> None:
    backend = SQLiteBackend(tmp_path / "jobs.db")
    async with trio.open_nursery() as nursery:
        async with backend:
            lock = locked(tmp_path / "jobs.db")
            lock.__enter__()

            async def refused() -> None:
                with pytest.raises(BackendUnavailable, match="lock"):
                    await backend.insert([job()])

            nursery.start_soon(refused)
            await wait_all_tasks_blocked()
        lock.__exit__(None, None, None)
    assert backend.patience == 5.0


async def test_closing_ends_the_thread(tmp_path: Path) -> None:
    async with SQLiteBackend(tmp_path / "jobs.db") as backend:
        (thread,) = (thread for thread in threading.enumerate() if backend.database_path in thread.name)
        assert thread.daemon
    thread.join(5)
    assert not thread.is_alive()


async def test_a_refused_opening_ends_the_thread(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("no database " * 100)
    with pytest.raises(BackendError):
        async with SQLiteBackend(tmp_path / "jobs.db"):
            pass
    for thread in threading.enumerate():
        if str(tmp_path) in thread.name:
            thread.join(5)
            assert not thread.is_alive()


async def test_two_open_backends_on_one_file_never_see_each_other_busy(tmp_path: Path) -> None:
    async def fill(backend: SQLiteBackend, name: str) -> None:
        for number in range(50):
            await backend.insert([job(f"{name}{number}")])

    async with SQLiteBackend(tmp_path / "jobs.db") as one, SQLiteBackend(tmp_path / "jobs.db") as other:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fill, one, "a")
            nursery.start_soon(fill, other, "b")
        assert (await one.counts("q"))[State.WAITING] == 100


# --- inline -------------------------------------------------------------------------------------


async def test_inline_time_is_the_wall_clock_plus_virtual_time_and_never_goes_back(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    backend = SQLiteBackend(tmp_path / "jobs.db", inline=True)
    async with backend:
        (later,) = (await backend.insert([job(delay=3_600)])).jobs
        assert abs(later.created_at - time.time()) < 10
        assert not (await backend.claim(["q"], 1, "w", 15, True)).jobs
        await trio.sleep(3_600)
        claimed = await backend.claim(["q"], 1, "w", 15, True)
        assert [found.id for found in claimed.jobs] == ["a"]
        await trio.sleep(1)
    async with backend:
        assert (await backend.get("q", ["a"])).now == pytest.approx(claimed.now + 1, abs=0.1)


async def test_a_clock_can_be_injected(tmp_path: Path) -> None:
    async with SQLiteBackend(tmp_path / "jobs.db", clock=lambda: 12.5) as backend:
        assert (await backend.insert([job(ttl=1)])).jobs[0].expires_at == 13.5
