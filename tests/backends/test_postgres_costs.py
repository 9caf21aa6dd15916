"""What PostgreSQL is asked to do: how often, by which index, and how much it reads while a store grows."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from math import inf
from typing import Any

import attrs
import psycopg
import pytest
import trio

from tests.postgres_server import EACH, PostgresServer, shared
from tests.postgres_stores import new_backend, new_schema
from trioq import PostgresBackend
from trioq.abc import Filter, Lease, Presence, Retention
from trioq.backends.postgres.backend import _PLANNING
from trioq.backends.postgres.queries import statements
from trioq.backends.postgres.session import Session
from trioq.lifecycle import Complete, Job, Reclaim, State, step

ADA = Presence(worker="ada-1", name="ada", host="here", slots=10, lease=15.0)
KEEP_NOTHING = Retention(keep_completed=0.0, keep_completed_max=0, keep_dead=0.0, keep_dead_max=0)

#: How a claim is asked by a worker with many slots.
CLAIM = {"queues": "q", "limit": 100, "worker": "ada-1", "lease": 15.0, "idle": False, "promoted": False}


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
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The statements that were asked, and their values."""
    seen: list[tuple[str, dict[str, Any]]] = []
    begin = Session._begin

    async def listen(self: Session, name: str, values: dict[str, Any]) -> object:
        seen.append((name, dict(values)))
        return await begin(self, name, values)

    monkeypatch.setattr(Session, "_begin", listen)
    return seen


async def claim(backend: PostgresBackend, limit: int = 10, idle: bool = False) -> list[Job]:
    return list((await backend.claim(["q"], limit, "ada-1", 15, idle)).jobs)


# --- how often ----------------------------------------------------------------------------------


async def test_each_verb_is_one_statement_when_all_goes_well(
    backend: PostgresBackend, asked: list[tuple[str, dict[str, Any]]]
) -> None:
    asked.clear()
    await backend.insert([a_job(str(number)) for number in range(1_000)])
    jobs = await claim(backend, 100)
    await backend.renew(ADA, [Lease(job.queue, job.id, job.run) for job in jobs])
    await backend.settle([step(job, Complete(), 1.0) for job in jobs])
    await backend.overdue(10)
    await backend.prune(["q"], KEEP_NOTHING)
    assert [name for name, _ in asked if name != "notify"] == [
        *("insert", "claim", "renew", "settle", "overdue"),
        *("prune", "prune_excess"),  # what is past its age, and then what is too much
    ]


# --- by which index -----------------------------------------------------------------------------


def test_a_renewal_moves_no_index(server: PostgresServer) -> None:
    indexes = server.sql("SELECT indexdef FROM pg_indexes WHERE schemaname = %s", new_schema(server))
    assert len(indexes) > 10
    for (definition,) in indexes:
        assert "lease_until" not in definition, "then each renewal would write into every index"
        assert "progress" not in definition


async def test_every_statement_finds_its_rows_by_an_index(
    backend: PostgresBackend,
    asked: list[tuple[str, dict[str, Any]]],
    server: PostgresServer,
    tables: str,
) -> None:
    await backend.insert([a_job(id) for id in "12344"])
    [job, other, lost, _] = await claim(backend, 4)
    change = step(job, Complete(), 1.0)
    await backend.settle([change, change])
    await backend.settle([attrs.evolve(step(other, Complete(), 1.0), inserts=(a_job("5"), a_job("1")))])
    await backend.settle([attrs.evolve(change, also=(step(other, Complete(), 1.0),))])
    await backend.settle([step(lost, Reclaim(), inf)])
    await backend.renew(ADA, [Lease("q", "3", lost.run)])
    await backend.insert([a_job("due", delay=0.0), a_job("later", delay=0.01)])
    await trio.sleep(0.02)
    await claim(backend, idle=True)
    await backend.overdue(10)
    await backend.find(Filter(queue="q", task="t"))
    await backend.have_ended("q", ["1", "3"])
    await backend.counts("q")
    await backend.queues()
    await backend.pause("q")
    await backend.resume("q")
    await backend.is_queue_paused("q")
    await backend.remove("q", ["1"])
    await backend.prune(["q"], KEEP_NOTHING)
    await backend.workers()
    await backend.get("q", ["1"])
    values = dict(asked)
    assert values.keys() >= statements(tables).keys() - {"layout", "notify"}
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(_PLANNING)
        for name, bound in values.items():
            lines = connection.execute(b"EXPLAIN " + statements(tables)[name], {**bound, "now": None}).fetchall()
            plan = "\n".join(line for (line,) in lines)
            for slow in ("Seq Scan on jobs", "Bitmap", "Hash Join", "Merge Join"):
                assert slow not in plan, f"{name}: {plan}"
            for condition in re.findall(r"using (?:jobs_id|jobs_seq) on .*\n *Index Cond: (.*)", plan):
                assert " AND " in condition or "queue >" in condition, f"{name} reads a whole queue: {plan}"


# --- how much -----------------------------------------------------------------------------------


def fill(server: PostgresServer, schema: str, state: State, count: int) -> None:
    """Put so many more jobs there, whose ends, if they have any, lie far in the past."""
    server.sql(
        f"""INSERT INTO {schema}.jobs (seq, created_at, run_at, finished_at, version, run, failures, crashes, snoozes,
            max_crashes, priority, queue, id, task, state, shelf, payload, options)
        SELECT nextval('{schema}.seqs'), n, n, CASE WHEN '{state.shelf}' = 'final' THEN n END, 3, 1, 0, 0, 0, 3, 0, 'q',
            gen_random_uuid(), 't', '{state}', '{state.shelf}', '[[],{{}}]', '{{}}' FROM generate_series(1, %s) AS n""",
        count,
    )


def pages(server: PostgresServer, schema: str, name: str, **values: Any) -> int:
    """How many pages a statement reads, which is undone."""
    question = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statements(schema)[name]
    with psycopg.connect(server.url) as connection:
        connection.execute(_PLANNING)
        [([answer],)] = connection.execute(question, {**values, "now": None}).fetchall()
        connection.rollback()
    plan: dict[str, Any] = answer["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def test_a_claim_reads_as_much_of_a_large_store_as_of_a_small_one(server: PostgresServer) -> None:
    schema = new_schema(server)
    fill(server, schema, State.WAITING, 1_000)
    few = pages(server, schema, "claim", **CLAIM)
    fill(server, schema, State.WAITING, 30_000)
    fill(server, schema, State.DELAYED, 30_000)
    fill(server, schema, State.COMPLETED, 30_000)
    assert pages(server, schema, "claim", **{**CLAIM, "promoted": True}) < 1.5 * few


def test_a_claim_that_was_planned_on_an_empty_store_reads_little_of_a_large_one(server: PostgresServer) -> None:
    schema = new_schema(server)
    question, values = statements(schema)["claim"], {**CLAIM, "now": None}
    with psycopg.connect(server.url) as connection:
        connection.execute(_PLANNING)
        connection.execute(question, values, prepare=True)
        connection.commit()
        fill(server, schema, State.WAITING, 100)
        fill(server, schema, State.COMPLETED, 5_000)
        assert len(connection.execute(question, values, prepare=True).fetchall()) == 100
        read = "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'jobs' AND schemaname = %s"
        [(rows,)] = connection.execute(read, [schema]).fetchall()
    assert rows < 500
