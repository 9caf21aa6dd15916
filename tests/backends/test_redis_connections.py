"""Redis goes away, comes back, falls silent: what a caller is told, and that nothing stays broken."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from tests.proxy import proxy_before
from tests.servers import Server, on_one, until_it_answers
from trioq import BackendUnavailable
from trioq.abc import Backend, Presence
from trioq.backends import _request_runner
from trioq.backends.redis import RedisBackend
from trioq.lifecycle import Job


def a_job(id: str = "1", **fields: object) -> Job:
    return Job(**{"id": id, "queue": "q", "task": "t", **fields})


# --- gone, and back -----------------------------------------------------------------------------


async def test_a_server_that_is_gone_is_unavailable_at_once_and_works_again_once_it_is_back(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([a_job()])
        server.kill()
        began = trio.current_time()
        for _ in range(3):
            with pytest.raises(BackendUnavailable, match=f"redis://127.0.0.1:{server.port} can't be reached"):
                await backend.insert([a_job()])
        assert trio.current_time() - began < 4.5
        server.start()
        assert list((await backend.insert([a_job()])).created) == [True]


async def test_a_request_under_way_when_the_server_dies_is_unavailable_at_once(server: Server) -> None:
    async with RedisBackend(server.url) as backend, trio.open_nursery() as nursery:
        os.kill(server.pid, signal.SIGSTOP)

        async def insert() -> None:
            with pytest.raises(BackendUnavailable):
                await backend.insert([a_job()])

        began = trio.current_time()
        nursery.start_soon(insert)
        await trio.sleep(0.1)
        server.kill()
    assert trio.current_time() - began < 4.5


async def test_a_connection_that_was_reset_is_replaced(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        for number in range(20):
            server.command("CLIENT", "KILL", "TYPE", "normal")
            await until_it_answers(backend)
            assert list((await backend.insert([a_job(str(number))])).created) == [True]


async def test_a_connection_that_was_reset_while_it_was_idle_is_replaced_without_an_error(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.queues()
        server.command("CLIENT", "KILL", "TYPE", "normal")
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert list((await backend.insert([a_job()])).created) == [True]


async def test_a_server_that_was_not_there_at_the_start_is_unavailable(server: Server) -> None:
    server.kill()
    with pytest.raises(BackendUnavailable, match="can't be reached") as caught:
        async with RedisBackend(server.url):
            pass
    assert caught.value.__cause__ is not None


async def test_a_name_that_leads_nowhere_is_unavailable() -> None:
    with pytest.raises(BackendUnavailable, match="can't be reached"):
        async with RedisBackend("redis://nowhere.invalid"):
            pass


@on_one
async def test_fifty_restarts_of_the_server_leave_no_request_without_a_connection(server: Server) -> None:
    async with RedisBackend(server.url) as backend, backend.watch(["q"]):
        for _ in range(50):
            server.kill()
            server.start()
            await until_it_answers(backend)
        assert _clients(server) <= 4


@on_one
async def test_a_thousand_cancelled_calls_leave_no_other_without_a_connection(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        for number in range(100):
            async with trio.open_nursery() as nursery:
                for call in range(10):
                    nursery.start_soon(_look_or_write, backend, f"{number}-{call}")
                for _ in range(number % 7):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        with trio.fail_after(30):
            await backend.queues()
        assert _clients(server) <= 3


async def _look_or_write(backend: Backend, id: str) -> None:
    await backend.get("q", [id])
    await backend.insert([a_job(id)])
    await backend.claim(["q"], 1, "w", 15, idle=False)


def _clients(server: Server) -> int:
    return server.command("CLIENT", "LIST").count(b" addr=")


def _ids_of_clients(server: Server) -> set[bytes]:
    return set(re.findall(rb"\bid=\d+", server.command("CLIENT", "LIST")))


async def test_who_gives_up_while_it_opens_leaves_nothing_behind(server: Server) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    for checkpoints in range(12):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_open, RedisBackend(server.url))
            for _ in range(checkpoints):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == before


async def _open(backend: Backend) -> None:
    async with backend:
        await trio.sleep_forever()


async def test_a_backend_that_opens_again_hurries_for_no_lease_of_before(server: Server) -> None:
    backend = RedisBackend(server.url)
    backend.patience = 1.0
    async with backend:
        await backend.claim(["q"], 1, "w", 60, idle=False)
        await backend.claim(["q"], 1, "hasty", 1.5, idle=False)
    async with backend:
        os.kill(server.pid, signal.SIGSTOP)
        with pytest.raises(BackendUnavailable, match="no answer within 1 s"):
            await backend.settle([])
        os.kill(server.pid, signal.SIGCONT)


# --- silence ------------------------------------------------------------------------------------


@on_one
async def test_a_write_to_a_server_that_falls_silent_is_unavailable_within_its_patience(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        presence = Presence(worker="w", name="w", host="h", slots=1, lease=1.5)
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: backend.claim(["q"], 1, "w", 1.5, idle=False),
            lambda: backend.renew(presence, []),
            lambda: backend.settle([]),
        ]
        await backend.queues()
        os.kill(server.pid, signal.SIGSTOP)
        for call in calls:
            began = trio.current_time()
            with pytest.raises(BackendUnavailable, match=r"no answer within 0\.5 s"):
                await call()
            assert 0.4 < trio.current_time() - began < 15
        os.kill(server.pid, signal.SIGCONT)
        await until_it_answers(backend)


@on_one
async def test_a_silent_server_is_given_up_after_five_seconds_and_another_connection_is_made(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        os.kill(server.pid, signal.SIGSTOP)
        began = trio.current_time()
        with pytest.raises(BackendUnavailable):
            await backend.queues()
        assert 4 < trio.current_time() - began < 20
        os.kill(server.pid, signal.SIGCONT)
        await until_it_answers(backend)


@on_one
async def test_a_connection_that_answers_no_write_for_five_seconds_is_replaced(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        before = _ids_of_clients(server)
        os.kill(server.pid, signal.SIGSTOP)
        with pytest.raises(BackendUnavailable, match="no answer within 5 s"):
            await backend.insert([a_job(str(number)) for number in range(3_000)])  # it takes a while to pack them
        os.kill(server.pid, signal.SIGCONT)
        await backend.insert([a_job()])
        assert not before & _ids_of_clients(server)


@on_one
async def test_a_read_that_has_to_connect_first_has_its_time_after_that(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy_before(server) as proxy, RedisBackend(f"redis://127.0.0.1:{proxy.port}") as backend:
        await backend.queues()
        proxy.reset_all()
        await trio.testing.wait_all_tasks_blocked(0.05)
        monkeypatch.setattr(_request_runner, "PATIENCE", 1.0)
        proxy.delay = 0.2  # an answer takes twice that, and there are two before the read's own
        began = trio.current_time()
        assert await backend.queues() == []
        assert trio.current_time() - began > 1.0


async def test_a_read_is_cancelled_at_once_and_a_write_once_its_outcome_is_known(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.queues()
        os.kill(server.pid, signal.SIGSTOP)
        with trio.move_on_after(0.05) as reading:
            await backend.queues()
        assert reading.cancelled_caught

        async def go_on() -> None:
            await trio.sleep(0.3)
            os.kill(server.pid, signal.SIGCONT)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go_on)
            with trio.move_on_after(0.05) as writing:
                reply = await backend.insert([a_job()])
            assert list(reply.created) == [True]
            assert not writing.cancelled_caught, "it has left, so its outcome is waited for"


async def test_leaving_ends_within_five_seconds_though_the_server_is_silent(server: Server) -> None:
    async with trio.open_nursery() as nursery:
        backend = RedisBackend(server.url)
        async with backend:
            os.kill(server.pid, signal.SIGSTOP)
            nursery.start_soon(_unavailable, backend)
            await trio.sleep(0.05)
            began = time.monotonic()
    assert time.monotonic() - began < 3, "and a caller that still waited for an answer is told that none will come"
    os.kill(server.pid, signal.SIGCONT)


async def _unavailable(backend: Backend) -> None:
    with pytest.raises(BackendUnavailable):
        await backend.insert([a_job()])
