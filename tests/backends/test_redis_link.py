"""One connection to Redis that many tasks share: whose answer is whose, and what those hear whose connection breaks."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from tests.servers import Server, on_one
from trioq import BackendUnavailable
from trioq.backends.redis import RedisBackend
from trioq.backends.redis.address import Address
from trioq.backends.redis.client import Link
from trioq.lifecycle import Job

pytestmark = on_one

#: More than fits on the way to a server that reads nothing.
_MUCH = b"x" * 30_000_000


@pytest.fixture
async def link(server: Server) -> AsyncIterator[Link]:
    async with trio.open_nursery() as nursery:
        yield await Link.open(Address.parse(server.url), nursery)
        nursery.cancel_scope.cancel()


async def test_each_who_asks_has_its_own_answer(link: Link) -> None:
    async def echo(word: bytes) -> None:
        assert await link.ask(b"ECHO", word) == word

    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(echo, b"%d" % number * (100_000 if number % 50 == 0 else 1))


async def test_an_answer_that_nobody_waits_for_any_more_is_nobody_elses(server: Server, link: Link) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    with trio.move_on_after(0.05):
        await link.ask(b"ECHO", b"left")
    os.kill(server.pid, signal.SIGCONT)
    assert await link.ask(b"ECHO", b"mine") == b"mine"


async def test_an_error_is_raised_where_it_was_asked_for(link: Link) -> None:
    with pytest.raises(Exception, match="wrong number of arguments"):
        await link.ask(b"ECHO")
    assert await link.ask(b"ECHO", b"on") == b"on"


async def test_who_is_cut_short_in_the_midst_of_a_request_breaks_the_connection(server: Server, link: Link) -> None:
    os.kill(server.pid, signal.SIGSTOP)

    async def lose() -> None:
        with pytest.raises(ConnectionError, match="lost before an answer came"):
            await link.ask(b"PING")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lose)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.05):
            await link.ask(b"ECHO", _MUCH)
        os.kill(server.pid, signal.SIGCONT)
    assert not link.usable
    with pytest.raises(ConnectionError, match="the connection was lost"):
        await link.ask(b"PING")


async def test_who_waits_when_the_server_ends_hears_it_at_once(server: Server, link: Link) -> None:
    async def lose() -> None:
        with pytest.raises(ConnectionError, match="lost before an answer came"):
            await link.ask(b"PING")

    os.kill(server.pid, signal.SIGSTOP)
    with trio.fail_after(3):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(lose)
            await trio.testing.wait_all_tasks_blocked()
            server.kill()


async def test_who_is_in_a_hurry_spoils_nothing_for_those_who_are_not(server: Server) -> None:
    async with RedisBackend(server.url) as backend, trio.open_nursery() as nursery:

        async def insert() -> None:
            reply = await backend.insert([Job(id="1", queue="q", task="t")])
            assert list(reply.created) == [True]

        os.kill(server.pid, signal.SIGSTOP)
        nursery.start_soon(insert)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(BackendUnavailable, match=r"no answer within 0\.1 s"):
            await backend.claim(["q"], 1, "hasty", 0.3, idle=False)
        os.kill(server.pid, signal.SIGCONT)
