"""Which commits give hints by NOTIFY, and when: at once where that is rare, and else all together, now and then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import attrs
import psycopg
import pytest
import trio

import trioq.postgres
from tests.postgres_server import PROGRAMS, PostgresServer, shared
from tests.postgres_stores import new_backend, new_schema
from trioq import BackendError, BackendUnavailable, PostgresBackend
from trioq.abc import Hint, Verdict
from trioq.backends.postgres import notify_limiter
from trioq.backends.postgres.queries import channel_of
from trioq.lifecycle import Cancel, Change, Complete, Job, step


def a_job(id: str, **fields: Any) -> Job:
    return Job(**{"id": id, "queue": "q", "task": "t", **fields})


@pytest.fixture
def server() -> PostgresServer:
    return shared()


@pytest.fixture
async def backend(server: PostgresServer) -> AsyncIterator[PostgresBackend]:
    async with new_backend(server) as backend:
        yield backend


async def claim(backend: PostgresBackend, limit: int = 10) -> list[Job]:
    return list((await backend.claim(["q"], limit, "ada-1", 15, idle=False)).jobs)


async def held(backend: PostgresBackend, *ids: str) -> list[Job]:
    await backend.insert([a_job(id) for id in ids])
    return await claim(backend, len(ids))


async def verdicts(backend: PostgresBackend, *changes: Change) -> list[Verdict]:
    return list((await backend.settle(changes)).verdicts)


@attrs.frozen
class HintReader:
    """Receives the notifications of a store."""

    connection: trioq.postgres.Connection[Any]

    async def messages(self) -> list[str]:
        """What has come, once nothing more comes for a while."""
        return [notification.payload async for notification in self.connection.notifies(timeout=0.3)]


@pytest.fixture
async def reader(server: PostgresServer, backend: PostgresBackend) -> AsyncIterator[HintReader]:
    async with await trioq.postgres.connect(server.url, autocommit=True) as connection:
        await connection.execute(f'LISTEN "{channel_of(backend._schema)}"')
        yield HintReader(connection)


def hints(messages: list[str]) -> list[Hint]:
    return [Hint(int(message.split(" ")[0])) for message in messages]


async def test_a_commit_gives_one_hint_of_its_kind_for_each_queue(backend: PostgresBackend, reader: HintReader) -> None:
    await backend.insert([a_job(str(number), queue=queue) for number in range(10) for queue in ("q", "other queue")])
    messages = await reader.messages()
    assert sorted(message.split(" ", 2)[2] for message in messages) == ["other queue", "q"]
    assert hints(messages) == [Hint.READY] * 2
    jobs = await claim(backend)
    assert await reader.messages() == [], "a claim concerns no other process"
    await backend.settle([step(job, Complete(), 1.0) for job in jobs])
    assert hints(await reader.messages()) == [Hint.FINISHED]


async def test_a_commit_after_a_quiet_moment_gives_its_hint_itself_and_at_once(
    backend: PostgresBackend, reader: HintReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_limiter, "_GRACE", 60.0)  # nothing else would send it
    await backend.insert([a_job("1")])
    assert hints(await reader.messages()) == [Hint.READY]


async def test_only_the_end_of_a_job_that_a_worker_had_concerns_workers(
    backend: PostgresBackend, reader: HintReader
) -> None:
    [job] = await held(backend, "held")
    [waiting] = (await backend.insert([a_job("waiting")])).jobs
    await reader.messages()
    await verdicts(backend, step(waiting, Cancel(), 1.0))
    assert hints(await reader.messages()) == [Hint.FINISHED]
    await verdicts(backend, step(job, Cancel(), 1.0))
    assert hints(await reader.messages()) == [Hint.FINISHED | Hint.CANCELLED]


async def test_many_commits_give_few_hints_and_none_of_a_kind_is_lost(
    backend: PostgresBackend, reader: HintReader
) -> None:
    began = trio.current_time()
    for number in range(100):
        await backend.insert([a_job(str(number))])
    await backend.settle([step(job, Complete(), 1.0) for job in await claim(backend, 100)])
    took = trio.current_time() - began
    received = hints(await reader.messages())
    assert len(received) <= took / notify_limiter._INTERVAL + 3
    assert {Hint.READY, Hint.FINISHED} <= {kind for hint in received for kind in hint}


async def test_what_happens_soon_after_a_hint_is_told_together(
    backend: PostgresBackend, reader: HintReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_limiter, "_INTERVAL", 0.2)
    await backend.insert([a_job("1")])
    for id in "23":
        await backend.insert([a_job(id)])
    await backend.settle([step(job, Complete(), 1.0) for job in await claim(backend)])
    assert hints(await reader.messages()) == [Hint.READY, Hint.READY | Hint.FINISHED]


async def test_the_next_commit_carries_what_was_held_back(
    backend: PostgresBackend, reader: HintReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_limiter, "_INTERVAL", 0.2)
    monkeypatch.setattr(notify_limiter, "_GRACE", 60.0)
    await backend.insert([a_job("1")])
    await backend.insert([a_job("1", queue="held back")])
    await trio.sleep(0.2)
    await backend.insert([a_job("2")])
    messages = [message.split(" ", 2)[2] for message in await reader.messages()]
    assert sorted(messages) == ["held back", "q", "q"]


async def test_what_a_commit_that_fails_was_to_carry_is_carried_by_another(
    backend: PostgresBackend, reader: HintReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_limiter, "_INTERVAL", 0.2)
    monkeypatch.setattr(notify_limiter, "_GRACE", 60.0)
    [job] = await held(backend, "1")
    await backend.insert([a_job("1", queue="held back")])
    await trio.sleep(0.2)
    with pytest.raises(BackendError, match="it would break a rule"):
        await backend.settle([step(job, Complete(), 1.0).noting(lease_until=9.0)])
    await trio.sleep(0.2)
    await backend.insert([a_job("2")])
    messages = [message.split(" ", 2)[2] for message in await reader.messages()]
    assert sorted(messages) == ["held back", "q", "q"]


async def test_what_is_still_to_be_told_is_told_when_the_backend_is_closed(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_limiter, "_INTERVAL", 60.0)
    schema = new_schema(server)
    async with await trioq.postgres.connect(server.url, autocommit=True) as connection:
        await connection.execute(f'LISTEN "{channel_of(schema)}"')
        async with PostgresBackend(server.url, schema) as backend:
            for id in "123":
                await backend.insert([a_job(id)])
        assert hints(await HintReader(connection).messages()) == [Hint.READY] * 2


async def test_what_a_commit_was_to_carry_that_is_cut_short_by_the_closing_is_left_untold(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_limiter, "_INTERVAL", 0.2)
    monkeypatch.setattr(notify_limiter, "_GRACE", 60.0)
    schema = new_schema(server)

    async def insert(backend: PostgresBackend) -> None:
        with pytest.raises(BackendUnavailable, match="closed while the request was under way"):
            await backend.insert([a_job("2")])

    async with (
        await trioq.postgres.connect(server.url) as another_session,
        trio.open_nursery() as nursery,
        PostgresBackend(server.url, schema) as backend,
    ):
        await backend.insert([a_job("1")])
        await backend.insert([a_job("1", queue="held back")])
        await trio.sleep(0.2)
        await another_session.execute(f"LOCK TABLE {schema}.jobs IN EXCLUSIVE MODE")
        nursery.start_soon(insert, backend)  # noqa: ASYNC111  it is closed meanwhile
        await trio.sleep(0.1)


@pytest.fixture
def full() -> Iterator[PostgresServer]:
    """A server whose queue of notifications is full: a session that listens stays in its transaction."""
    server = PostgresServer(PROGRAMS["postgresql-18"], max_notify_queue_pages="64")  # else it takes 8 GB
    try:
        with psycopg.connect(server.url) as idle, psycopg.connect(server.url, autocommit=True) as filler:
            idle.execute("LISTEN another_program")
            idle.commit()
            idle.execute("SELECT 1")
            with pytest.raises(psycopg.OperationalError, match="too many notifications"):
                while True:
                    filler.execute(
                        "SELECT pg_notify('another_program', repeat('x', 7000) || n) FROM generate_series(1, 9) n"
                    )
            yield server
    finally:
        server.close()


@pytest.mark.slow
async def test_a_full_queue_of_notifications_costs_hints_and_nothing_else(full: PostgresServer) -> None:
    queue = trioq.Queue("q", PostgresBackend(full.url, new_schema(full)))

    @queue.task(max_retries=0)
    async def double(number: int) -> int:
        return 2 * number

    async with queue, trio.open_nursery() as nursery:
        await nursery.start(trioq.Worker(queue).start)
        with trio.fail_after(60):
            jobs = await queue.enqueue_many(double.bind(number) for number in range(20))
            connection = await trioq.postgres.connect(full.url)
            async with connection, connection.transaction(), queue.within(connection) as inside:
                jobs.append(await inside.enqueue(double.bind(20)))
            assert [await job.result() for job in jobs] == [2 * number for number in range(21)]
            await queue.pause()
            await queue.resume()
        assert {(job.run, job.crashes) for job in [await job.refresh() for job in jobs]} == {(1, 0)}
        nursery.cancel_scope.cancel()
