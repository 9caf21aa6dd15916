"""What stands in PostgreSQL, and who waits for whom there: stores, rows, locks and batches.

What every backend does is asked by the conformance checks; hints, costs and how connections break, elsewhere.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import attrs
import psycopg
import pytest
import trio

import trioq
import trioq.postgres
from tests.postgres_server import EACH, PostgresServer, shared
from tests.postgres_stores import new_backend, new_schema
from trioq import BackendError, BackendUnavailable, PostgresBackend, SchemaMissing, SchemaTooNew
from trioq.abc import Lease, Presence, Retention, Verdict
from trioq.backends.postgres.queries import quoted
from trioq.backends.postgres.schema import LAYOUT
from trioq.backends.postgres.session import Session
from trioq.lifecycle import Cancel, Change, Complete, Fail, Job, Reclaim, Requeue, State, step

ADA = Presence(worker="ada-1", name="ada", host="here", slots=10, lease=15.0)
KEEP_NOTHING = Retention(keep_completed=0.0, keep_completed_max=0, keep_dead=0.0, keep_dead_max=0)


def a_job(id: str, **fields: Any) -> Job:
    return Job(**{"id": id, "queue": "q", "task": "t", **fields})


@pytest.fixture(params=EACH)
def server(request: pytest.FixtureRequest) -> PostgresServer:
    return shared(request.param)


@pytest.fixture
async def backend(server: PostgresServer) -> AsyncIterator[PostgresBackend]:
    async with new_backend(server) as backend:
        yield backend


@pytest.fixture
def tables(backend: PostgresBackend) -> str:
    """Where the tables of the backend are."""
    return backend._schema


@pytest.fixture
def another_session(server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    """Another session, in a transaction."""
    with psycopg.connect(server.url) as connection:
        yield connection
        connection.rollback()


async def claim(backend: PostgresBackend, limit: int = 10, worker: str = "ada-1", idle: bool = False) -> list[Job]:
    return list((await backend.claim(["q"], limit, worker, 15, idle)).jobs)


async def held(backend: PostgresBackend, *ids: str) -> list[Job]:
    await backend.insert([a_job(id) for id in ids])
    return await claim(backend, len(ids))


async def verdicts(backend: PostgresBackend, *changes: Change) -> list[Verdict]:
    return list((await backend.settle(changes)).verdicts)


# --- opening ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://localhost/jobs", "postgresql://localhost/jobs"),
        ("postgres://ann:secret@db.example.org:7000/shop", "postgresql://ann@db.example.org:7000/shop"),
        ("host=/run/pg dbname=shop password=secret", "postgresql:///shop?host=/run/pg"),
    ],
)
def test_passwords_are_not_shown(url: str, where: str) -> None:
    assert repr(PostgresBackend(url)) == f"<PostgresBackend {where} schema='trioq'>"


def test_urls_open_a_backend() -> None:
    assert isinstance(trioq.open_backend("postgresql://localhost/jobs"), PostgresBackend)
    assert isinstance(trioq.open_backend("postgres://localhost/jobs"), PostgresBackend)


def test_a_url_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="no URL of a PostgreSQL server") as caught:
        PostgresBackend("postgresql://ann:secret@localhost/jobs?color=red")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("schema", ["", "a\0b", "ü" * 32])
def test_a_schema_whose_name_would_be_cut_is_refused(schema: str) -> None:
    with pytest.raises(ValueError, match="a schema has a name of 1 to 63 bytes"):
        PostgresBackend("postgresql://localhost/jobs", schema)


@pytest.mark.parametrize("connections", [0, -1])
def test_a_backend_without_a_connection_is_refused(connections: int) -> None:
    with pytest.raises(ValueError, match="1 connection or more"):
        PostgresBackend("postgresql://localhost", connections=connections)


def test_trioq_needs_no_psycopg_until_a_backend_is_made() -> None:
    program = "import sys, trioq; assert trioq.PostgresBackend; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_missing_extra_says_what_to_install() -> None:
    program = "import sys; sys.modules['psycopg'] = None; import trioq; trioq.open_backend('postgresql://localhost')"
    run = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert 'Install it with: pip install "trioq[postgres]"' in run.stderr


@pytest.mark.parametrize(
    "schema", ["Capital Letters", "quo\"te's", "per%cent %s %%", "{jobs}", "back\\slash", "ü" * 31]
)
async def test_a_schema_may_have_any_name(server: PostgresServer, schema: str) -> None:
    new_schema(server, schema)
    try:
        async with PostgresBackend(server.url, schema) as backend:
            [job] = await held(backend, "1")
            assert await verdicts(backend, step(job, Complete(), 1.0)) == [Verdict.STORED]
            async with backend.watch(["q"]) as hints:
                with trio.fail_after(30):
                    await hints.receive()
                assert await backend.queues() == ["q"]
    finally:
        server.sql(f"DROP SCHEMA {quoted(schema)} CASCADE")


async def test_a_store_without_tables_says_how_to_make_them(server: PostgresServer) -> None:
    with pytest.raises(SchemaMissing, match=r"trioq migrate postgresql://.* --schema nowhere$"):
        async with PostgresBackend(server.url, "nowhere"):
            pass


async def test_an_older_layout_is_refused(server: PostgresServer) -> None:
    schema = new_schema(server)
    server.sql(f"UPDATE {schema}.trioq_migrations SET number = number - 1")
    with pytest.raises(SchemaMissing, match="has no trioq schema, or an older one"):
        async with PostgresBackend(server.url, schema):
            pass


async def test_a_newer_layout_is_refused(server: PostgresServer) -> None:
    schema = new_schema(server)
    server.sql(f"INSERT INTO {schema}.trioq_migrations (number) VALUES ({LAYOUT + 1})")
    with pytest.raises(SchemaTooNew) as caught:
        async with PostgresBackend(server.url, schema):
            pass
    assert (caught.value.found, caught.value.known) == (LAYOUT + 1, LAYOUT)


async def test_stores_in_two_schemas_do_not_see_each_other(server: PostgresServer) -> None:
    async with new_backend(server) as left, new_backend(server) as right:
        await left.insert([a_job("1", unique_key="k")])
        assert list((await right.insert([a_job("1", unique_key="k")])).created) == [True]
        await left.pause("q")
        assert not await right.is_queue_paused("q")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_of_another_encoding_will_do(server: PostgresServer, encoding: str) -> None:
    name = f"encoded_{encoding.lower()}"
    server.sql(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
    backend = PostgresBackend(f"{server.url.rpartition('/')[0]}/{name}")
    await backend.migrate()
    async with backend:
        [job] = await held(backend, "1")
        failed = step(job, Fail("no, says señor 王", 60.0), 1.0)
        assert await verdicts(backend, failed) == [Verdict.STORED]
        [found] = (await backend.get("q", ["1"])).jobs
    assert found is not None
    assert (found.id, found.error) == ("1", "no, says señor 王")


async def isolation_of(connection: trioq.postgres.Connection[Any]) -> list[tuple[str]]:
    cursor = await connection.execute("SHOW transaction_isolation")
    return await cursor.fetchall()


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
async def test_the_isolation_that_is_the_default_here_changes_nothing(server: PostgresServer, level: str) -> None:
    url = f"{server.url}?options=-c%20default_transaction_isolation%3D{level.replace(' ', '%5C%20')}"
    async with PostgresBackend(url, new_schema(server)) as backend:
        await backend.insert([a_job(str(number)) for number in range(60)])
        taken: list[Job] = []

        async def take(worker: str) -> None:
            while jobs := await claim(backend, 7, worker):
                taken.extend(jobs)

        async with trio.open_nursery() as nursery:
            for worker in "abcd":
                nursery.start_soon(take, worker)
        [(ours,)] = await backend._requests.read(isolation_of)
    assert len(taken) == len({job.id for job in taken}) == 60
    assert ours == "read committed", "else what collides is done again, and three times at most"


# --- records ------------------------------------------------------------------------------------


async def test_a_record_that_cannot_be_read_is_shown_and_says_why(
    backend: PostgresBackend, tables: str, server: PostgresServer
) -> None:
    await backend.insert([a_job("1", metadata={"a": 1}), a_job("2")])
    server.sql(
        f"UPDATE {tables}.jobs SET options = '{{not json', progress = '?', error = '\\xff', cancel_reason = '\\xff', "
        "state = 'dreaming' WHERE id = '1'"
    )
    [job] = (await backend.get("q", ["1"])).jobs
    assert job is not None
    assert job.unreadable is not None
    assert "unknown state 'dreaming'" in job.unreadable
    assert "broken options" in job.unreadable
    assert "broken progress" in job.unreadable
    assert "broken error" in job.unreadable
    assert "broken cancel_reason" in job.unreadable
    assert job.state is State.WAITING, "where it lies is known"
    assert (await backend.counts("q"))[State.WAITING] == 2
    assert [job.id for job in await claim(backend, idle=True)] == ["2"], "a state that is not known is left alone"


async def test_an_error_may_hold_what_no_text_can(backend: PostgresBackend) -> None:
    [job] = await held(backend, "1")
    failed = job.after(change := step(job, Fail("a\0b \udcff", 60.0), 1.0))
    assert await verdicts(backend, change) == [Verdict.STORED]
    assert await verdicts(backend, step(failed, Cancel("\ud800"), 2.0)) == [Verdict.STORED]
    [found] = (await backend.get("q", ["1"])).jobs
    assert found is not None
    assert (found.error, found.cancel_reason) == ("a\0b \udcff", "\ud800")


async def test_a_change_that_breaks_a_rule_of_the_table_fails_alone(backend: PostgresBackend) -> None:
    sound, broken = await held(backend, "1", "2")
    told: list[object] = []

    async def settle(change: Change) -> None:
        try:
            told.append(await verdicts(backend, change))
        except BackendError as error:
            told.append(str(error))

    bad = step(broken, Complete(), 1.0).noting(lease_until=9.0)
    async with trio.open_nursery() as nursery:
        for change in (step(sound, Complete(), 1.0), bad, bad):  # the last two go together in one request
            nursery.start_soon(settle, change)
    assert [Verdict.STORED] in told
    assert sum("it would break a rule of the tables" in str(answer) for answer in told) == 2
    assert (await backend.counts("q"))[State.ACTIVE] == 1


async def test_a_change_cannot_set_what_an_insert_has_fixed(backend: PostgresBackend) -> None:
    [job] = await held(backend, "1")
    with pytest.raises(BackendError, match="a change can't set 'ttl'"):
        await backend.settle([step(job, Complete(), 1.0).noting(ttl=1.0)])


# --- who waits for whom -------------------------------------------------------------------------


async def test_a_claim_skips_rows_that_another_session_has_locked(
    backend: PostgresBackend, tables: str, another_session: psycopg.Connection[Any]
) -> None:
    await backend.insert([*(a_job(id) for id in "1234"), a_job("last-life", max_crashes=1), a_job("due", delay=0.01)])
    await trio.sleep(0.02)
    another_session.execute(f"SELECT FROM {tables}.jobs WHERE id IN ('1', '3', 'last-life', 'due') FOR UPDATE")
    with trio.fail_after(30):
        reply = await backend.claim(["q"], 10, "ada-1", 15, idle=True)
    assert [job.id for job in reply.jobs] == ["2", "4"]
    assert reply.last_life
    assert reply.next_due is not None
    assert reply.next_due <= reply.now, "there is something due, and so another claim is worth it"


async def test_prune_skips_rows_that_another_session_has_locked(
    backend: PostgresBackend, tables: str, another_session: psycopg.Connection[Any]
) -> None:
    jobs = await held(backend, "1", "2", "3")
    await backend.settle([step(job, Complete(), 1.0) for job in jobs])
    another_session.execute(f"SELECT FROM {tables}.jobs WHERE id = '2' FOR UPDATE")
    with trio.fail_after(30):
        assert await backend.prune(["q"], KEEP_NOTHING) == 2
    another_session.rollback()
    assert await backend.prune(["q"], KEEP_NOTHING) == 1


async def test_prune_forgets_workers_that_have_not_renewed_for_a_day(server: PostgresServer) -> None:
    now, schema = 1_000.0, new_schema(server)
    async with PostgresBackend(server.url, schema, clock=lambda: now) as backend:
        await backend.renew(ADA, [])
        now += 86_000
        await backend.prune(["q"], KEEP_NOTHING)
        assert server.sql(f"SELECT worker FROM {schema}.workers") == [(ADA.worker,)]
        now += 500
        await backend.prune(["q"], KEEP_NOTHING)
        assert server.sql(f"SELECT worker FROM {schema}.workers") == []


async def test_a_long_transaction_of_another_session_holds_up_no_verb(
    backend: PostgresBackend, another_session: psycopg.Connection[Any]
) -> None:
    another_session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    another_session.execute("SELECT txid_current()")
    await backend.insert([a_job(str(number)) for number in range(500)])
    with trio.fail_after(30):
        while jobs := await claim(backend, 50):
            await backend.settle([step(job, Complete(), 1.0) for job in jobs])
        assert await backend.prune(["q"], KEEP_NOTHING) == 500


@pytest.fixture
async def pair(server: PostgresServer) -> AsyncIterator[tuple[PostgresBackend, PostgresBackend]]:
    """Two processes, as it were, on one store; no two of their requests may wait for each other in a circle."""
    schema, before = new_schema(server), server.log().count("deadlock detected")
    async with PostgresBackend(server.url, schema) as left, PostgresBackend(server.url, schema) as right:
        yield left, right
    assert server.log().count("deadlock detected") == before


async def at_once(*calls: Awaitable[object]) -> list[Any]:
    """What these answer, begun at the same time."""
    answers: list[Any] = [None] * len(calls)

    async def wait(place: int, call: Awaitable[object]) -> None:
        answers[place] = await call

    async with trio.open_nursery() as nursery:
        for place, call in enumerate(calls):
            nursery.start_soon(wait, place, call)
    return answers


async def test_inserts_of_the_same_keys_in_any_order_do_not_wait_in_a_circle(
    pair: tuple[PostgresBackend, PostgresBackend],
) -> None:
    for number in range(8):
        keys = [f"{number}-{key}" for key in range(300)]
        left = [a_job(f"left {key}", unique_key=key) for key in keys]
        right = [a_job(f"right {key}", unique_key=key) for key in reversed(keys)]
        mine, theirs = await at_once(pair[0].insert(left), pair[1].insert(right))
        assert [job.id for job in mine.jobs] == [job.id for job in reversed(theirs.jobs)], "they agree on who has a key"
        assert sum(mine.created) + sum(theirs.created) == len(keys)


async def test_settles_of_the_same_jobs_in_any_order_do_not_wait_in_a_circle(
    pair: tuple[PostgresBackend, PostgresBackend],
) -> None:
    for number in range(8):
        jobs = await held(pair[0], *(f"{number}-{id}" for id in range(200)))
        mine, theirs = await at_once(
            pair[0].settle([step(job, Complete(), 1.0) for job in jobs]),
            pair[1].settle([step(job, Cancel(), 1.0) for job in reversed(jobs)]),
        )
        for one, other in zip(mine.verdicts, reversed(theirs.verdicts), strict=True):
            assert {one, other} == {Verdict.STORED, Verdict.STALE}, "the first to write wins"


async def test_a_renewal_and_a_settle_of_the_same_jobs_do_not_wait_in_a_circle(
    pair: tuple[PostgresBackend, PostgresBackend],
) -> None:
    for number in range(8):
        jobs = await held(pair[0], *(f"{number}-{id}" for id in range(200)))
        leases = [Lease(job.queue, job.id, job.run) for job in reversed(jobs)]
        settled, _ = await at_once(
            pair[0].settle([step(job, Complete(), 1.0) for job in jobs]), pair[1].renew(ADA, leases)
        )
        assert set(settled.verdicts) == {Verdict.STORED}


async def test_batches_that_mix_requeues_with_other_steps_do_not_wait_in_a_circle(
    pair: tuple[PostgresBackend, PostgresBackend],
) -> None:
    """Such a batch takes several statements, and all of its jobs are locked before the first."""
    for number in range(8):
        jobs = await held(pair[0], *(f"{number}-{id}" for id in range(40)))
        ended = [job for place, job in enumerate(jobs) if place % 2]
        await pair[0].settle([step(job, Complete(), 1.0) for job in ended])
        now = (await pair[0].get("q", [job.id for job in jobs])).jobs
        changes = [step(job, Requeue() if job.state.final else Cancel(), 1.0) for job in now if job is not None]
        mine, theirs = await at_once(pair[0].settle(changes), pair[1].settle(changes[::-1]))
        for one, other in zip(mine.verdicts, reversed(theirs.verdicts), strict=True):
            assert {one, other} <= {Verdict.STORED, Verdict.STALE}


async def test_composite_changes_of_the_same_jobs_do_not_wait_in_a_circle(
    pair: tuple[PostgresBackend, PostgresBackend],
) -> None:
    for number in range(8):
        jobs = await held(pair[0], *(f"{number}-{id}" for id in range(10)))
        [first, *others] = [step(job, Complete(), 1.0) for job in jobs]
        [last, *before] = [step(job, Cancel(), 1.0) for job in reversed(jobs)]
        mine, theirs = await at_once(
            pair[0].settle([attrs.evolve(first, also=tuple(others))]),
            pair[1].settle([attrs.evolve(last, also=tuple(before))]),
        )
        assert {*mine.verdicts, *theirs.verdicts} == {Verdict.STORED, Verdict.STALE}


async def test_a_renewal_waits_for_no_row_and_names_none_as_lost_that_is_locked(
    backend: PostgresBackend, tables: str, another_session: psycopg.Connection[Any]
) -> None:
    jobs = await held(backend, "1", "2", "3")
    leases = [Lease(job.queue, job.id, job.run) for job in jobs]
    before = {job.id: job.lease_until or 0.0 for job in jobs}
    another_session.execute(f"SELECT FROM {tables}.jobs WHERE id = '2' FOR UPDATE")
    await trio.sleep(0.01)
    with trio.fail_after(30):
        reply = await backend.renew(ADA, leases)
    assert reply.lost == {}
    found = [job for job in (await backend.get("q", ["1", "2", "3"])).jobs if job is not None]
    assert [(job.lease_until or 0.0) > before[job.id] for job in found] == [True, False, True]
    another_session.rollback()
    assert (await backend.renew(ADA, leases)).lost == {}


async def test_a_renewal_of_thousands_of_leases_takes_no_longer_for_each(backend: PostgresBackend) -> None:
    """Nine thousand took longer than a worker waits, when those that were locked were looked for one by one."""
    jobs = [job for n in range(9) for job in await held(backend, *(f"{n}-{id}" for id in range(1_000)))]
    assert (await backend.renew(ADA, [Lease(job.queue, job.id, job.run) for job in jobs])).lost == {}


async def test_a_foreign_key_to_a_job_holds_up_neither_its_renewal_nor_its_end(
    backend: PostgresBackend, tables: str, another_session: psycopg.Connection[Any]
) -> None:
    [job] = await held(backend, "1")
    # A row that refers to it takes this lock.
    another_session.execute(f"SELECT FROM {tables}.jobs WHERE id = '1' FOR KEY SHARE")
    with trio.fail_after(30):
        await trio.sleep(0.01)
        await backend.renew(ADA, [Lease("q", "1", job.run)])
        [renewed] = (await backend.get("q", ["1"])).jobs
        assert renewed is not None
        assert (renewed.lease_until or 0.0) > (job.lease_until or 0.0)
        assert await verdicts(backend, step(job, Complete(), 1.0)) == [Verdict.STORED]


async def test_a_locked_row_holds_up_no_other_reclaim(
    server: PostgresServer, another_session: psycopg.Connection[Any]
) -> None:
    now = 1_000.0
    schema = new_schema(server)
    async with PostgresBackend(server.url, schema, clock=lambda: now) as backend:
        await held(backend, "1", "2", "3")
        another_session.execute(f"SELECT FROM {schema}.jobs WHERE id = '2' FOR UPDATE")
        now = 1_016.0
        with trio.fail_after(30):
            found = await backend.overdue(10)
            reclaims = [step(job, Reclaim(), found.now) for job in found.jobs]
            assert await verdicts(backend, *reclaims) == [Verdict.STORED, Verdict.STALE, Verdict.STORED]
        another_session.rollback()
        assert await verdicts(backend, *reclaims) == [Verdict.STORED] * 3


async def test_a_job_that_two_processes_enqueue_at_once_is_one_job(
    pair: tuple[PostgresBackend, PostgresBackend],
) -> None:
    for number in range(30):
        new = a_job(str(number), unique_key=str(number))
        mine, theirs = await at_once(pair[0].insert([new]), pair[1].insert([new]))
        assert sorted([*mine.created, *theirs.created]) == [False, True]
        assert mine.jobs[0].seq == theirs.jobs[0].seq


# --- what a batch is ----------------------------------------------------------------------------


async def test_each_job_of_a_batch_sees_what_became_of_those_before_it(backend: PostgresBackend) -> None:
    [ended] = await held(backend, "ended")
    await backend.settle([step(ended, Complete(), 1.0)])
    batch = [
        a_job("ended", unique_key="k"),  # its id is known, so it takes no key
        a_job("1", unique_key="k"),
        a_job("2", unique_key="k"),
        a_job("2"),
        a_job("2", unique_key="other"),
        a_job("3", unique_key="other"),
    ]
    reply = await backend.insert(batch)
    assert list(reply.created) == [False, True, False, True, False, True]
    assert [job.id for job in reply.jobs] == ["ended", "1", "1", "2", "2", "3"]


async def test_a_batch_is_added_as_if_one_after_the_other(backend: PostgresBackend) -> None:
    await backend.insert([a_job("0", unique_key="k")])
    batch = [
        a_job("1", unique_key="k"),  # the key is taken
        a_job("1"),
        a_job("1", unique_key="k"),  # now its id is as well, which counts before the key
        a_job("2"),
    ]
    reply = await backend.insert(batch)
    assert list(reply.created) == [False, True, False, True]
    assert [job.id for job in reply.jobs] == ["0", "1", "1", "2"]
    assert reply.jobs[1].seq < reply.jobs[3].seq


@pytest.fixture
def second_insert_fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Lets the second of a batch's statements that add jobs fail, once."""

    def fail_with(error: Exception) -> None:
        answers = iter([None, error])
        begin = Session._begin

        async def fail(self: Session, name: str, values: dict[str, Any]) -> Any:
            failure = next(answers, None) if name == "insert" else None
            if failure is not None:
                raise failure
            return await begin(self, name, values)

        monkeypatch.setattr(Session, "_begin", fail)

    return fail_with


#: It takes two statements: whether the second job gets the key, the first one's fate decides.
IN_TWO: Final = [a_job("known", unique_key="k"), a_job("1", unique_key="k"), a_job("2")]


async def test_a_batch_that_takes_two_statements_is_added_as_a_whole_or_not_at_all(
    backend: PostgresBackend, second_insert_fails: Callable[[Exception], None]
) -> None:
    await backend.insert([a_job("known")])
    second_insert_fails(psycopg.OperationalError("the connection broke"))
    with pytest.raises(BackendUnavailable):
        await backend.insert(IN_TWO)
    assert list((await backend.get("q", ["known", "1", "2"])).jobs)[1:] == [None, None]


async def test_a_batch_that_is_added_again_for_it_collided_has_added_nothing_before(
    backend: PostgresBackend, second_insert_fails: Callable[[Exception], None]
) -> None:
    await backend.insert([a_job("known")])
    second_insert_fails(psycopg.errors.DeadlockDetected("with another session"))
    assert list((await backend.insert(IN_TWO)).created) == [False, True, True]


async def test_steps_of_one_job_in_one_batch_follow_each_other(backend: PostgresBackend) -> None:
    [job] = await held(backend, "1")
    done = step(job, Complete(b"1"), 1.0)
    again = step(job.after(done), Requeue(), 2.0)
    over = step(job.after(done).after(again), Cancel(), 3.0)
    stale = step(job, Cancel(), 3.0)
    assert await verdicts(backend, done, again, over, stale, again) == [
        Verdict.STORED,
        Verdict.STORED,
        Verdict.STORED,
        Verdict.STALE,
        Verdict.STALE,
    ]
    assert (await backend.counts("q"))[State.CANCELLED] == 1


async def test_two_steps_of_one_job_in_one_batch_are_both_stored(backend: PostgresBackend) -> None:
    [job] = await held(backend, "1")
    failed = step(job, Fail("no", 60.0), 1.0)
    over = step(job.after(failed), Cancel(), 2.0)
    assert await verdicts(backend, failed, over) == [Verdict.STORED, Verdict.STORED]
    assert (await backend.counts("q"))[State.CANCELLED] == 1


async def test_of_requeues_that_want_one_key_the_first_has_it(backend: PostgresBackend) -> None:
    ended = []
    for id in "123":
        [job] = (await backend.insert([a_job(id, unique_key="k")])).jobs
        change = step(job, Cancel(), 1.0)
        assert await verdicts(backend, change) == [Verdict.STORED]
        ended.append(job.after(change))
    [other] = (await backend.insert([a_job("other", unique_key="k")])).jobs
    requeues = [step(job, Requeue(), 2.0) for job in ended]
    over = step(other, Cancel(), 2.0)
    assert await verdicts(backend, requeues[0], over, requeues[1], requeues[2], requeues[1]) == [
        Verdict.KEY_TAKEN,
        Verdict.STORED,
        Verdict.STORED,
        Verdict.KEY_TAKEN,
        Verdict.STORED,
    ]


async def test_a_claim_lets_a_thousand_due_jobs_of_all_its_queues_join_the_ready_ones(server: PostgresServer) -> None:
    now = 1_000.0
    async with new_backend(server, clock=lambda: now) as backend:
        for queue in "ab":
            await backend.insert([a_job(str(number), queue=queue, delay=1) for number in range(600)])
        now += 2
        first = await backend.claim(["a", "b"], 5_000, "w", 15, idle=False)
        assert len(first.jobs) == 1_000
        assert first.next_due is not None
        assert first.next_due <= first.now, "there are more"
        second = await backend.claim(["a", "b"], 5_000, "w", 15, idle=False)
        assert (len(second.jobs), second.next_due) == (200, None)


async def test_of_too_many_due_jobs_the_earliest_join_the_ready_ones(server: PostgresServer) -> None:
    now = 1_000.0
    async with new_backend(server, clock=lambda: now) as backend:
        jobs = [a_job(str(number), delay=1 + number / 1_000, priority=-number) for number in range(1_100)]
        await backend.insert(list(reversed(jobs)))
        now += 10
        assert {job.id for job in await claim(backend, 5_000)} == {job.id for job in jobs[:1_000]}
