"""Records of the SQLite backend: what can't be read, what the layout refuses, and the plans of the statements."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from trioq._core.backoff import Fixed
from trioq._core.errors import BackendError
from trioq._core.job import Job, State
from trioq._core.lifecycle import Cancel, Complete, Release, Requeue, stamp, step
from trioq.backends._base import Filter, Lease, Presence, Retention, Verdict
from trioq.backends.sqlite import SQLiteBackend
from trioq.backends.sqlite.queries import SQL, settle, stored
from trioq.backends.sqlite.rows import COLUMNS, read_job
from trioq.backends.sqlite.schema import open_database

ALICE = Presence(worker="alice-1", name="alice", host="here", slots=4, lease=15)


def job(id: str = "a", **options: object) -> Job:
    return Job(id=id, queue="q", task="t", **options)


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[SQLiteBackend]:
    """Inline: nothing here depends on the thread."""
    backend = SQLiteBackend(tmp_path / "jobs.db", inline=True)
    async with backend:
        yield backend


async def execute(backend: SQLiteBackend, statement: str) -> None:
    await backend._write(lambda tx: tx.db.execute(statement))


# --- what is kept ------------------------------------------------------------------------------


async def test_what_never_changes_of_a_job_goes_with_its_record(backend: SQLiteBackend) -> None:
    await backend.insert([job("removed"), job("pruned"), job("kept")])
    [_, pruned, _] = (await backend.get("q", ["removed", "pruned", "kept"])).jobs
    assert pruned is not None
    await backend.settle([step(pruned, Cancel(), pruned.created_at)])
    await backend.remove("q", ["removed"])
    await backend.prune(["q"], Retention(keep_completed=0, keep_completed_max=0, keep_dead=0, keep_dead_max=0))
    left = await backend._read(lambda tx: tx.db.execute("SELECT id FROM bodies LEFT JOIN jobs USING (seq)").fetchall())
    assert left == [("kept",)]


async def test_prune_forgets_workers_that_have_not_renewed_for_a_day(tmp_path: Path) -> None:
    now = 1_000.0
    async with SQLiteBackend(tmp_path / "workers.db", clock=lambda: now) as backend:
        keep = Retention(keep_completed=0, keep_completed_max=0, keep_dead=0, keep_dead_max=0)

        async def stored() -> list[str]:
            names = await backend._read(lambda tx: tx.db.execute("SELECT worker FROM workers").fetchall())
            return [name for (name,) in names]

        await backend.renew(Presence(worker="old", name="old", host="here", slots=1, lease=15), [])
        now += 86_000
        await backend.prune(["q"], keep)
        assert await stored() == ["old"]
        now += 500
        await backend.prune(["q"], keep)
        assert await stored() == []


# --- what comes back ----------------------------------------------------------------------------


async def test_every_field_of_a_record_comes_back_as_it_was(backend: SQLiteBackend) -> None:
    every = job(
        payload=b'[["\\u0000"],{}]',
        priority=-7,
        ttl=0.1 + 0.2,
        timeout=3,
        max_retries=2**40,
        max_crashes=9,
        backoff=Fixed(2.5),
        unique_key="k\x00",
        metadata={"a": [1, None, {"b": 0.1}]},
        failures=1,
        crashes=2,
        snoozes=3,
        run=6,
        version=12,
        progress={"share": 0.1 + 0.2},
        error="ValueError: \x00 ü",
        key="limit",
        parent="p",
        extra={"newer": [1]},
    )
    inserted = await backend.insert([every])
    assert list(inserted.jobs) == [stamp(every, 1, inserted.now)]
    assert (await backend.get("q", ["a"])).jobs == list(inserted.jobs)


async def test_two_jobs_of_one_batch_with_one_key_are_one_job(backend: SQLiteBackend) -> None:
    reply = await backend.insert([job("a", unique_key="k"), job("b", unique_key="k"), job("a"), job("c")])
    assert reply.created == [True, False, False, True]
    assert [found.id for found in reply.jobs] == ["a", "a", "a", "c"]
    assert (await backend.get("q", ["b"])).jobs == [None]


async def test_a_job_whose_key_is_taken_is_not_mistaken_for_a_later_one_with_its_id(backend: SQLiteBackend) -> None:
    await backend.insert([job("holder", unique_key="k")])
    reply = await backend.insert([job("a", unique_key="k"), job("a")])
    assert reply.created == [False, True]
    assert [found.id for found in reply.jobs] == ["holder", "a"]


async def test_a_seq_is_not_used_again_after_a_removal(backend: SQLiteBackend) -> None:
    await backend.insert([job("a")])
    assert await backend.remove("q", ["a", "a"]) == [True, False]
    assert (await backend.insert([job("b")])).jobs[0].seq == 2
    assert await backend._read(lambda tx: tx.db.execute("SELECT seq FROM bodies").fetchall()) == [(2,)]


async def test_of_many_results_each_goes_to_its_own_job(backend: SQLiteBackend) -> None:
    results = [b'"a"', b"", b'["\\u00e9", "\xc3\xa9"]', b"\x00\xff", b"null"]
    await backend.insert([job(f'"{number}\\') for number in range(len(results))])
    claimed = (await backend.claim(["q"], len(results), "w", 15, True)).jobs
    changes = [step(each, Complete(result), 5.0) for each, result in zip(claimed, results, strict=True)]
    assert (await backend.settle(changes)).verdicts == [Verdict.STORED] * len(changes)
    ended = [each.after(change) for each, change in zip(claimed, changes, strict=True)]
    assert (await backend.get("q", [each.id for each in claimed])).jobs == ended


async def test_one_of_many_results_that_comes_too_late_harms_no_other(backend: SQLiteBackend) -> None:
    await backend.insert([job(id) for id in "abc"])
    claimed = (await backend.claim(["q"], 3, "w", 15, True)).jobs
    released = step(claimed[1], Release(), 5.0)
    await backend.settle([released])
    changes = [step(each, Complete(b"1"), 6.0) for each in claimed]
    assert (await backend.settle(changes)).verdicts == [Verdict.STORED, Verdict.STALE, Verdict.STORED]
    ended = [each.after(change) for each, change in zip(claimed, changes, strict=True)]
    assert (await backend.get("q", ["a", "b", "c"])).jobs == [ended[0], claimed[1].after(released), ended[2]]


async def test_of_two_results_for_one_job_the_first_is_stored(backend: SQLiteBackend) -> None:
    await backend.insert([job("a")])
    (a,) = (await backend.claim(["q"], 1, "w", 15, True)).jobs
    first = step(a, Complete(b"1"), 5.0)
    assert (await backend.settle([first, first.noting(result=b"2")])).verdicts == [Verdict.STORED, Verdict.STALE]
    assert (await backend.get("q", ["a"])).jobs == [a.after(first)]


async def test_a_requeue_whose_key_is_taken_loses(backend: SQLiteBackend) -> None:
    await backend.insert([job("a", unique_key="k")])
    (claimed,) = (await backend.claim(["q"], 1, "w", 15, True)).jobs
    ended = step(claimed, Complete(), 5.0)
    await backend.settle([ended])
    await backend.insert([job("b", unique_key="k")])
    assert (await backend.settle([step(claimed.after(ended), Requeue(), 6.0)])).verdicts == [Verdict.KEY_TAKEN]


async def test_a_change_with_a_stale_part_is_not_stored_at_all(backend: SQLiteBackend) -> None:
    a, b = (await backend.insert([job("a"), job("b")])).jobs
    whole = attrs.evolve(step(a, Cancel(), 1.0), also=(step(b, Cancel(), 1.0),), inserts=(job("c"),))
    stale = attrs.evolve(whole, also=(attrs.evolve(whole.also[0], version=9),))
    assert (await backend.settle([stale])).verdicts == [Verdict.STALE]
    assert (await backend.get("q", ["a", "b", "c"])).jobs == [a, b, None]
    taken = attrs.evolve(whole, inserts=(job("b"),))
    assert (await backend.settle([taken])).verdicts == [Verdict.STALE]
    assert (await backend.settle([whole, whole])).verdicts == [Verdict.STORED] * 2
    stored_jobs = (await backend.get("q", ["a", "b", "c"])).jobs
    assert [found and found.state for found in stored_jobs] == [State.CANCELLED, State.CANCELLED, State.WAITING]


async def test_a_change_of_what_never_changes_is_refused(backend: SQLiteBackend) -> None:
    (a,) = (await backend.insert([job("a")])).jobs
    with pytest.raises(BackendError, match="metadata"):
        await backend.settle([step(a, Cancel(), 1.0).noting(metadata={})])
    assert (await backend.get("q", ["a"])).jobs == [a]


async def test_text_that_is_no_unicode_is_refused_and_nothing_is_written(backend: SQLiteBackend) -> None:
    with pytest.raises(BackendError, match="surrogates"):
        await backend.insert([job("a"), job("b", error="\ud800")])
    assert (await backend.get("q", ["a"])).jobs == [None]


@pytest.mark.parametrize(
    "broken",
    [
        "UPDATE jobs SET lease_until = 1",
        "UPDATE jobs SET finished_at = 1",
        "UPDATE jobs SET shelf = 'final'",
        "UPDATE jobs SET shelf = 'elsewhere'",
        "UPDATE jobs SET run_at = 'soon'",
        "UPDATE jobs SET max_crashes = 'many'",
        "UPDATE bodies SET options = '{}'",
    ],
)
async def test_the_layout_refuses_a_record_that_breaks_a_rule(backend: SQLiteBackend, broken: str) -> None:
    await backend.insert([job()])
    with pytest.raises(BackendError, match="breaks a rule") as caught:
        await execute(backend, broken)
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)


# --- what can't be read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("UPDATE bodies SET options = CAST('{' AS BLOB) WHERE seq = 1", "broken options"),
        ("UPDATE bodies SET options = CAST('[1]' AS BLOB) WHERE seq = 1", "broken options"),
        ('UPDATE bodies SET options = CAST(\'{"backoff": {"kind": "moon"}}\' AS BLOB) WHERE seq = 1', "broken options"),
        ("UPDATE jobs SET progress = CAST('{' AS BLOB) WHERE seq = 1", "broken progress"),
        ("DELETE FROM bodies WHERE seq = 1", "payload is gone"),
    ],
)
async def test_a_broken_record_is_claimed_as_unreadable_beside_healthy_ones(
    backend: SQLiteBackend, damage: str, why: str
) -> None:
    await backend.insert([job("a", metadata={"a": 1}), job("b")])
    await execute(backend, damage)
    broken, healthy = (await backend.claim(["q"], 5, "w", 15, True)).jobs
    assert (broken.id, broken.state, broken.run) == ("a", State.ACTIVE, 1)
    assert why in str(broken.unreadable)
    assert (healthy.id, healthy.unreadable) == ("b", None)
    assert (await backend.settle([step(broken, Release(), 1.0)])).verdicts == [Verdict.STORED]


@pytest.mark.parametrize("column", ["error", "worker", "cancel_reason", "task", "unique_key", "id"])
async def test_a_text_that_is_no_unicode_any_more_is_shown_with_replacements(
    backend: SQLiteBackend, column: str
) -> None:
    await backend.insert([job("a"), job("b")])
    await execute(backend, f"UPDATE jobs SET {column} = CAST(x'61ff62' AS TEXT) WHERE seq = 1")
    damaged, healthy = (await backend.find(Filter(queue="q"))).jobs
    assert getattr(damaged, column) == "a\ufffdb"
    assert healthy.id == "b"
    assert len((await backend.claim(["q"], 5, "w", 15, True)).jobs) == 2


async def test_a_state_of_a_newer_trioq_is_shown_but_never_claimed(backend: SQLiteBackend) -> None:
    await backend.insert([job("a"), job("b", max_crashes=1), job("c")])
    await execute(backend, "UPDATE jobs SET state = 'throttled' WHERE id IN ('a', 'b')")
    claimed = await backend.claim(["q"], 5, "w", 15, True)
    assert [found.id for found in claimed.jobs] == ["c"]
    assert not claimed.last_life
    (shown,) = (await backend.get("q", ["a"])).jobs
    assert shown is not None
    assert shown.unreadable == "unknown state 'throttled'"
    assert sum((await backend.counts("q")).values()) == 3


# --- bounds -------------------------------------------------------------------------------------


async def test_a_page_looks_at_a_thousand_records_and_goes_on(backend: SQLiteBackend) -> None:
    await backend.insert([job(str(number)) for number in range(1_500)])
    await backend.insert([attrs.evolve(job("needle"), task="rare")])
    rare = Filter(queue="q", task="rare")
    first = await backend.find(rare)
    assert (list(first.jobs), first.cursor) == ([], 1_000)
    second = await backend.find(rare, first.cursor)
    assert ([found.id for found in second.jobs], second.cursor) == (["needle"], None)


async def test_pages_of_a_limit_meet_every_job_once(backend: SQLiteBackend) -> None:
    await backend.insert([job(str(number)) for number in range(25)])
    seen, cursor = [], None
    while True:
        page = await backend.find(Filter(queue="q"), cursor, limit=10)
        seen += [found.id for found in page.jobs]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [str(number) for number in range(25)]


async def test_prune_drops_the_oldest_beyond_the_number_in_batches(backend: SQLiteBackend) -> None:
    jobs = (await backend.insert([job(str(number)) for number in range(10)])).jobs
    await backend.settle([step(one, Cancel(), float(number)) for number, one in enumerate(jobs)])
    limits = Retention(keep_completed=1e12, keep_completed_max=3, keep_dead=0, keep_dead_max=0)
    assert [await backend.prune(["q"], limits, batch=5) for _ in range(3)] == [5, 2, 0]
    assert [found.id for found in (await backend.find(Filter(queue="q"))).jobs] == ["7", "8", "9"]
    assert await backend._read(lambda tx: tx.db.execute("SELECT count(*) FROM bodies").fetchone()) == (3,)


async def test_migrating_an_open_file_has_nothing_to_do(backend: SQLiteBackend) -> None:
    await backend.insert([job()])
    await backend.migrate()
    assert (await backend.counts("q"))[State.WAITING] == 1


async def test_a_lease_that_is_lost_says_why(backend: SQLiteBackend) -> None:
    await backend.insert([job("gone"), job("cancelled"), job("reclaimed"), job("held"), job("unlisted")])
    jobs = {one.id: one for one in (await backend.claim(["q"], 9, ALICE.worker, 15, True)).jobs}
    await backend.settle([step(jobs["cancelled"], Cancel(), 1.0), step(jobs["reclaimed"], Release(), 1.0)])
    await backend.settle([step(jobs["gone"], Complete(), 1.0)])
    await backend.remove("q", ["gone"])
    leases = [Lease("q", id, 1, {"at": id}) for id in ("gone", "cancelled", "reclaimed", "held")]
    reply = await backend.renew(ALICE, leases)
    assert {lease.id: loss.value for lease, loss in reply.lost.items()} == {
        "gone": "gone",
        "cancelled": "cancelled",
        "reclaimed": "reclaimed",
    }
    assert list(reply.unlisted) == [("q", "unlisted")]
    reply = await backend.renew(ALICE, [Lease("q", "held", 1)])
    (held,) = (await backend.get("q", ["held"])).jobs
    assert held == jobs["held"].having({"lease_until": reply.now + ALICE.lease, "progress": {"at": "held"}})


# --- plans --------------------------------------------------------------------------------------

#: Statements that walk an index or a small table from end to end, and why they may.
WALKS = {
    "held_by": "jobs_held",  # only what is under a lease
    "count_held": "jobs_held",
    "workers": "workers",
    "forget_workers": "workers",
    "paused": "paused",
    "snapshot": "paused",
    "bells": "bells",
}


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Callable[[str], list[str]]]:
    db = open_database(str(tmp_path / "jobs.db"), str(tmp_path / "jobs.db"), "FULL")

    def explain(statement: str) -> list[str]:
        values = [None] * (1 if "?1" in statement else statement.count("?"))
        return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values)]

    yield explain
    db.close()


#: The statements with something in them that only `queries` fills in.
FILLED = {
    **{name: settle(name, COLUMNS) for name in ("settle", "settle_lease", "settle_returned")},
    "stored": stored(COLUMNS),
}


def test_no_statement_scans_the_jobs(plan: Callable[[str], list[str]]) -> None:
    scans = {
        name: [line for line in plan(FILLED.get(name, SQL[name])) if line.startswith("SCAN")] for name in sorted(SQL)
    }
    small = ("json_each", "sqlite_sequence", "CONSTANT ROW", "subquery")
    assert {
        name: lines
        for name, lines in scans.items()
        if not all(any(word in line for word in (*small, WALKS.get(name, small[0]))) for line in lines)
    } == {}


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("by_id", "jobs_id"),
        ("by_key", "jobs_live_key"),
        ("next_due", "jobs_timed"),
        ("promote", "jobs_timed"),
        ("ready", "jobs_ready"),
        ("ready_last_life", "jobs_last_life"),
        ("has_last_life", "jobs_last_life"),
        ("overdue_leases", "jobs_held"),
        ("overdue_ttls", "jobs_expiring"),
        ("held_by", "jobs_held"),
        ("count_promoted", "jobs_promoted"),
        ("count_timed", "jobs_timed"),
        ("count_parked", "jobs_parked"),
        ("count_final", "jobs_final"),
        ("count_final_state", "jobs_final"),
        ("oldest_final", "jobs_final"),
        ("queue_after", "jobs_id"),
    ],
)
def test_each_index_serves_its_statement(plan: Callable[[str], list[str]], name: str, index: str) -> None:
    lines = plan(SQL[name])
    assert any(f"INDEX {index} " in line + " " for line in lines), lines


@pytest.mark.parametrize("name", ["ready", "ready_last_life", "promote", "overdue_leases", "overdue_ttls", "page"])
def test_nothing_is_sorted_that_an_index_orders(plan: Callable[[str], list[str]], name: str) -> None:
    assert not any("TEMP B-TREE" in line for line in plan(SQL[name]))


@pytest.mark.parametrize("name", ["count_ready", "count_timed", "count_final", "count_final_state", "next_due"])
def test_counting_looks_up_no_records(plan: Callable[[str], list[str]], name: str) -> None:
    assert all("COVERING INDEX" in line for line in plan(SQL[name]) if "jobs" in line)


@pytest.mark.parametrize("many", [0, 1, 1_000_000])
def test_results_find_their_jobs_by_seq_whatever_statistics_say(tmp_path: Path, many: int) -> None:
    path = str(tmp_path / "jobs.db")
    with closing(open_database(path, path, "FULL")) as db:
        db.execute("ANALYZE")
        db.executemany(
            "INSERT INTO sqlite_stat1 VALUES ('jobs', ?, ?)", [(None, f"{many}"), ("jobs_id", f"{many} {many} 1")]
        )
    with closing(open_database(path, path, "FULL")) as db:
        statement = FILLED["settle_returned"]
        lines = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * statement.count("?"))]
    assert [line[:11] for line in lines] == ["SCAN json_e", "SEARCH jobs"]
    assert "INTEGER PRIMARY KEY" in lines[1]


def test_every_statement_has_a_sentence() -> None:
    import trioq.backends.sqlite as package

    text = Path(package.__file__).with_name("queries.sql").read_text()
    for block in text.split("-- name: ")[1:]:
        name, sentence = block.splitlines()[:2]
        assert sentence.startswith("-- "), name
        assert sentence.rstrip().endswith("."), name


def test_a_row_has_a_column_for_every_field_that_is_not_packed(tmp_path: Path) -> None:
    db = open_database(str(tmp_path / "jobs.db"), str(tmp_path / "jobs.db"), "FULL")
    names = {row[1] for row in db.execute("PRAGMA table_info(jobs)")}
    db.close()
    assert names == {*COLUMNS, "shelf"}
    assert read_job((*["waiting", None], *[0] * (len(COLUMNS) - 2), b"[[],{}]", b"{}", "ready")).unreadable is None
