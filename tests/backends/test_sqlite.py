"""The file of the SQLite backend: whose it is, what happens to it, and what survives.  The verbs are conformance's."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from trioq._core.errors import (
    BackendBusy,
    BackendError,
    BackendNotOpen,
    BackendUnavailable,
    NotATrioqDatabase,
    SchemaTooNew,
)
from trioq._core.job import Job, State
from trioq.backends import open_backend
from trioq.backends.sqlite import SQLiteBackend
from trioq.backends.sqlite.schema import LAYOUT, migrations

ROOT = Path(__file__).parents[2]


def job(id: str = "a", **options: object) -> Job:
    return Job(id=id, queue="q", task="t", **options)


def content(path: str | Path) -> bytes | None:
    return path.read_bytes() if isinstance(path, Path) and path.is_file() else None


async def refusal(path: str | Path) -> BackendError:
    """What opening raises; the file must be as it was."""
    before = content(path)
    with pytest.raises(BackendError) as caught:
        async with SQLiteBackend(path):
            pytest.fail("it opened")
    assert content(path) == before
    return caught.value


def run_python(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


# --- which files it takes -----------------------------------------------------------------------


async def test_jobs_are_there_after_reopening(tmp_path: Path) -> None:
    async with SQLiteBackend(tmp_path / "jobs.db") as backend:
        await backend.insert([job(metadata={"a": [1]}, timeout=2.5)])
    async with SQLiteBackend(str(tmp_path / "jobs.db")) as backend:
        (found,) = (await backend.get("q", ["a"])).jobs
        assert found is not None
        assert (found.metadata, found.timeout, found.seq) == ({"a": [1]}, 2.5, 1)


async def test_one_backend_serves_several_runs_of_trio_one_after_another(tmp_path: Path) -> None:
    backend = SQLiteBackend(tmp_path / "jobs.db")

    def run_in_thread(id: str) -> int:
        async def main() -> int:
            async with backend:
                return (await backend.insert([job(id)])).jobs[0].seq

        return trio.run(main)

    assert [await trio.to_thread.run_sync(run_in_thread, id) for id in "abc"] == [1, 2, 3]


async def test_a_second_run_of_trio_is_refused_while_the_first_has_it_open(tmp_path: Path) -> None:
    backend = SQLiteBackend(tmp_path / "jobs.db")

    def run_in_thread() -> None:
        async def main() -> None:
            async with backend:
                pytest.fail("it opened twice")

        trio.run(main)

    async with backend:
        with pytest.raises(BackendBusy):
            await trio.to_thread.run_sync(run_in_thread)


async def test_the_path_is_made_absolute_when_the_backend_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backend = open_backend("sqlite:jobs.db")
    assert isinstance(backend, SQLiteBackend)
    monkeypatch.chdir("/")
    async with backend:
        assert backend.database_path == str(tmp_path / "jobs.db")
    assert (tmp_path / "jobs.db").exists()


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_database_without_a_file_is_refused_at_once(path: str) -> None:
    with pytest.raises(ValueError, match="memory:"):
        SQLiteBackend(path)


def test_only_full_and_normal_durability_are_known() -> None:
    with pytest.raises(ValueError, match="NORMAL"):
        SQLiteBackend("jobs.db", synchronous="OFF")


async def test_verbs_before_opening_and_after_closing_say_how_to_open(tmp_path: Path) -> None:
    backend = SQLiteBackend(tmp_path / "jobs.db")
    for _ in range(2):
        with pytest.raises(BackendNotOpen, match="async with"):
            await backend.insert([job()])
        async with backend:
            await backend.counts("q")


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in str(await refusal(tmp_path / "none" / "jobs.db"))
    assert not (tmp_path / "none").exists()


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "is a folder" in str(await refusal(str(tmp_path)))


async def test_a_file_that_is_no_database_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 1000)
    assert isinstance(await refusal(path), NotATrioqDatabase)


async def test_the_database_of_another_application_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE orders (id)")
    db.close()
    error = await refusal(path)
    assert isinstance(error, NotATrioqDatabase)
    assert "another program" in str(error)


async def test_an_empty_database_with_the_mark_of_another_application_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA application_id = 7")
    db.close()
    assert isinstance(await refusal(path), NotATrioqDatabase)


async def test_a_newer_layout_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with SQLiteBackend(path):
        pass
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {LAYOUT + 1}")
    db.close()
    error = await refusal(path)
    assert isinstance(error, SchemaTooNew)
    assert (error.found, error.known) == (LAYOUT + 1, LAYOUT)


async def test_a_read_only_database_is_refused_before_anything_is_enqueued(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with SQLiteBackend(path):
        pass
    before = path.read_bytes()
    error = await refusal(f"file:{path}?mode=ro")
    assert "read-only" in str(error)
    assert not isinstance(error, BackendUnavailable)
    assert isinstance(error.__cause__, sqlite3.OperationalError)
    assert path.read_bytes() == before


async def test_a_uri_opens_the_file_that_it_names(tmp_path: Path) -> None:
    async with SQLiteBackend(f"file:{tmp_path}/with%20space.db?mode=rwc") as backend:
        assert backend.database_path == str(tmp_path / "with space.db")
    assert (tmp_path / "with space.db").exists()


# --- layouts ------------------------------------------------------------------------------------


def test_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, _ in migrations()] == list(range(1, LAYOUT + 1))


def layout_of(path: Path) -> tuple[object, ...]:
    db = sqlite3.connect(path)
    tables = db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    marks = [db.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "application_id", "journal_mode")]
    db.close()
    return (*tables, *marks)


@pytest.mark.parametrize("done", range(LAYOUT + 1))
async def test_an_older_layout_is_brought_up_to_date_when_it_is_opened(tmp_path: Path, done: int) -> None:
    async with SQLiteBackend(tmp_path / "new.db"):
        pass
    old = sqlite3.connect(tmp_path / "old.db")
    for _, script in migrations()[:done]:
        old.executescript(script)
    if done:
        old.execute("PRAGMA application_id = 0x7472696F")
        old.execute(f"PRAGMA user_version = {done}")
    old.close()
    async with SQLiteBackend(tmp_path / "old.db"):
        pass
    assert layout_of(tmp_path / "old.db") == layout_of(tmp_path / "new.db")


async def test_many_may_create_open_and_close_one_file_at_once(tmp_path: Path) -> None:
    async def add(id: str) -> None:
        for turn in range(4):
            async with SQLiteBackend(tmp_path / "jobs.db") as backend:
                await until_stored(backend, job(id + str(turn)))

    async def until_stored(backend: SQLiteBackend, job: Job) -> None:
        """A COMMIT may find the file locked by one that closes: what is unavailable can be asked for again."""
        while True:
            try:
                await backend.insert([job])
                return
            except BackendUnavailable:
                await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(add, str(number))
    async with SQLiteBackend(tmp_path / "jobs.db") as backend:
        assert (await backend.counts("q"))[State.WAITING] == 32


# --- what goes wrong ----------------------------------------------------------------------------


async def test_a_full_disk_is_named_and_nothing_is_half_written(tmp_path: Path) -> None:
    backend = SQLiteBackend(tmp_path / "jobs.db")
    async with backend:
        await backend.insert([job("before")])
        await backend._write(lambda tx: tx.db.execute("PRAGMA max_page_count = 1").fetchall())
        with pytest.raises(BackendUnavailable, match="disk is full") as caught:
            await backend.insert([job(str(number), payload=b"x" * 5_000) for number in range(1_000)])
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        await backend._write(lambda tx: tx.db.execute("PRAGMA max_page_count = 1000000").fetchall())
        assert (await backend.counts("q"))[State.WAITING] == 1
        await backend.insert([job("after")])


def test_a_limit_on_file_sizes_leaves_a_file_that_opens_again(tmp_path: Path) -> None:
    code = """
import resource, sys, trio
from trioq._core.errors import BackendUnavailable
from trioq._core.job import Job
from trioq.backends.sqlite import SQLiteBackend

async def main():
    async with SQLiteBackend(sys.argv[1]) as backend:
        await backend.insert([Job(id="before", queue="q", task="t")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        try:
            await backend.insert([Job(id=str(n), queue="q", task="t", payload=b"x" * 5_000) for n in range(1_000)])
        except BackendUnavailable as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(sum((await backend.counts("q")).values()), "jobs")

trio.run(main)
"""
    done = run_python(code, tmp_path / "jobs.db")
    assert done.returncode == 0, done.stderr
    assert "the disk failed, or a limit on file sizes was reached" in done.stdout
    assert done.stdout.endswith("1 jobs\n")


def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    code = """
import sys, trio
from trioq._core.job import Job
from trioq.backends.sqlite import SQLiteBackend

async def main():
    async with SQLiteBackend(sys.argv[1]) as backend:
        for number in range(1_000_000):
            await backend.insert([Job(id=str(number), queue="q", task="t")])
            print(number, flush=True)

trio.run(main)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "jobs.db")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    with child, child.stdout:
        for _ in range(50):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        answered = 50 + len(child.stdout.read().split("\n")[:-1])

    async def waiting() -> int:
        async with SQLiteBackend(tmp_path / "jobs.db") as backend:
            return (await backend.counts("q"))[State.WAITING]

    assert answered <= trio.run(waiting) <= answered + 1


def test_an_interpreter_that_leaves_without_closing_ends_at_once(tmp_path: Path) -> None:
    code = """
import sys, trio
from trioq._core.job import Job
from trioq.backends.sqlite import SQLiteBackend

async def main():
    backend = SQLiteBackend(sys.argv[1])
    await backend.__aenter__()
    await backend.insert([Job(id="a", queue="q", task="t")])
    async with backend.watch(["q"]):
        raise SystemExit(7)

trio.run(main)
"""
    done = run_python(code, tmp_path / "jobs.db")
    assert (done.returncode, done.stderr) == (7, "")


async def test_a_backend_that_a_run_of_trio_left_open_opens_in_the_next(tmp_path: Path) -> None:
    backend = SQLiteBackend(tmp_path / "jobs.db")

    def run_in_thread() -> None:
        async def main() -> None:
            await backend.__aenter__()
            await backend.insert([job("a")])

        trio.run(main)

    await trio.to_thread.run_sync(run_in_thread)
    async with backend:
        assert [stored for stored in (await backend.get("q", ["a", "b"])).jobs if stored] != []


async def test_nothing_is_acknowledged_into_a_file_that_was_deleted(tmp_path):
    backend = SQLiteBackend(tmp_path / "jobs.db", inline=True)
    async with backend:
        await backend.insert([Job(id="a", queue="q", task="t")])
        (tmp_path / "jobs.db").unlink()
        with pytest.raises(BackendUnavailable, match=r"deleted or replaced.*Restart"):
            await backend.insert([Job(id="b", queue="q", task="t")])


async def test_nothing_is_acknowledged_into_a_file_that_was_replaced(tmp_path):
    backend = SQLiteBackend(tmp_path / "jobs.db", inline=True)
    async with backend:
        (tmp_path / "jobs.db").rename(tmp_path / "old.db")
        (tmp_path / "jobs.db").write_bytes(b"")
        with pytest.raises(BackendUnavailable, match="deleted or replaced"):
            await backend.insert([Job(id="b", queue="q", task="t")])


async def test_a_clock_that_jumps_needs_sqlite_inline(tmp_path, autojump_clock):
    with pytest.raises(BackendError, match="inline=True"):
        async with SQLiteBackend(tmp_path / "jobs.db"):
            pass
    async with SQLiteBackend(tmp_path / "jobs.db", inline=True):
        pass


async def test_an_answer_that_came_in_time_counts_though_the_loop_was_blocked(tmp_path):
    backend = SQLiteBackend(tmp_path / "jobs.db")
    backend.patience = 0.3
    async with backend, trio.open_nursery() as nursery:

        async def insert():
            await backend.insert([Job(id="a", queue="q", task="t")])

        nursery.start_soon(insert)
        await trio.lowlevel.checkpoint()  # the request has left
        time.sleep(0.6)  # noqa: ASYNC251  what is tested
