"""What PostgreSQL alone has: a server that ends under running jobs, transactions of the application, and permissions.

What workers on any store do, the other files ask of PostgreSQL, too.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import trioq
from tests.postgres_server import PROGRAMS, PostgresServer
from tests.postgres_stores import new_database
from trioq.postgres import connect

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "postgres.rst"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer(next(iter(PROGRAMS.values())))
    yield server
    server.close()


@pytest.fixture
def url(server: PostgresServer) -> str:
    return new_database(server)


async def hold_five(queue, journal, seconds: float) -> list[trioq.JobHandle[str]]:
    """Five jobs that run, each for so many seconds."""
    jobs = [await queue.enqueue("hold", [seconds]) for _ in range(5)]
    for _ in jobs:
        await journal.wait_for("hold 1")
    return jobs


async def check_undisturbed(jobs: list[trioq.JobHandle[str]]) -> None:
    """They end well in the run that they were in."""
    assert [await job.result() for job in jobs] == ["held"] * 5
    records = [await job.refresh() for job in jobs]
    assert [(record.run, record.crashes, record.failures) for record in records] == [(1, 0, 0)] * 5


@pytest.mark.slow
async def test_jobs_go_on_while_the_server_is_killed_and_starts_over(queue, journal, start_worker, server):
    worker = await start_worker()
    jobs = await hold_five(queue, journal, 0.5)
    server.kill()
    await worker.log.wait_for("can't be reached")
    server.start()
    await check_undisturbed(jobs)


@pytest.mark.slow
async def test_jobs_go_on_while_every_connection_is_ended(queue, journal, start_worker, server):
    await start_worker()
    jobs = await hold_five(queue, journal, 1)
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trioq'")
    await check_undisturbed(jobs)


@pytest.mark.slow
async def test_a_job_enqueued_in_a_transaction_is_started_at_its_commit_and_not_before(
    queue, journal, start_worker, url
):
    @queue.task
    async def count(number: int) -> None:
        """What a producer needs of the application's task."""

    await start_worker()
    async with await connect(url, autocommit=True) as connection:
        async with connection.transaction(), queue.within(connection) as tx:
            job = await tx.enqueue(count.bind(1))
            await (await count.enqueue(2)).result()  # the worker has looked, and found this one alone
            assert (await journal.read()).endswith("count 2")
            journal.check_read()
        await job.result()
        assert (await journal.read()).endswith("count 1")


def grants(role: str) -> list[str]:
    """What the how-to lets a role do."""
    found = re.findall(rf"GRANT [^;]+ TO {role};", PAGE.read_text(encoding="utf-8"))
    assert found
    return found


def user(url: str, role: str) -> str:
    """The URL for a new role that may do what the how-to says, and no more."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        for grant in grants(role):
            connection.execute(grant)
    return url.replace("postgres@", f"{role}@")


@pytest.mark.slow
async def test_workers_and_producers_need_no_more_than_the_how_to_grants_them(journal, start_worker, url):
    worker = await start_worker(backend=user(url, "worker"), lease=1)
    queue = trioq.Queue("jobs", backend=user(url, "producer"))

    @queue.task
    async def count(number: int) -> None:
        """What a producer needs of the application's task."""

    async with queue, await connect(f"{url.replace('postgres@', 'producer@')}") as connection:
        async with connection.transaction(), queue.within(connection) as tx:
            first = await tx.enqueue(count.bind(0))
        later = count.options(unique_key="k", delay=0.3)
        jobs = [first, await later.enqueue(1), await later.enqueue(2)]
        assert [job.created for job in jobs] == [True, True, False]
        jobs.append(await queue.enqueue("rest", [0.6]))  # for longer than it takes until the first renewal, and pruning
        for job in jobs:
            await job.result()
        with pytest.raises(trioq.BackendError, match="permission denied"):
            await queue.pause()
    worker.signal(signal.SIGTERM)
    while line := await worker.log.read():
        assert "permission denied" not in line
