"""One connection to Redis that many tasks share: each gets its own answer, and an error when the connection breaks."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from tests.servers import Server, on_one
from trioq import BackendError, BackendUnavailable
from trioq.backends.redis import RedisBackend
from trioq.backends.redis.address import Address
from trioq.backends.redis.client import Link
from trioq.lifecycle import Job

#: More than fits on the way to a server that reads nothing.
_MUCH = b"x" * 30_000_000


@pytest.fixture
async def link(server: Server) -> AsyncIterator[Link]:
    async with trio.open_nursery() as nursery:
        yield await Link.open(Address.parse(server.url), nursery)
        nursery.cancel_scope.cancel()


async def measure(link: Link, word: bytes, sizes: list[int]) -> None:
    """Note how long the server's echo of *word* is."""
    sizes.append(len(await link.ask(b"ECHO", word)))


@on_one
async def test_each_caller_gets_the_answer_to_its_own_request(link: Link) -> None:
    async def echo(word: bytes) -> None:
        assert await link.ask(b"ECHO", word) == word

    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(echo, b"%d" % number * (100_000 if number % 50 == 0 else 1))


@on_one
async def test_a_command_leaves_before_the_loop_turns(server: Server, link: Link) -> None:
    """So the server is at work while the other tasks of the turn are."""
    link.say(b"SUBSCRIBE", b"c")
    assert b":1" in server.command("PUBSUB", "NUMSUB", "c"), "this blocks the thread, and with it the loop"


@on_one
async def test_the_answer_to_a_cancelled_request_goes_to_no_other_request(server: Server, link: Link) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    with trio.move_on_after(0.05):
        await link.ask(b"ECHO", b"left")
    os.kill(server.pid, signal.SIGCONT)
    assert await link.ask(b"ECHO", b"mine") == b"mine"


@on_one
async def test_an_error_is_raised_where_it_was_asked_for(link: Link) -> None:
    with pytest.raises(Exception, match="wrong number of arguments"):
        await link.ask(b"ECHO")
    assert await link.ask(b"ECHO", b"on") == b"on"


@on_one
async def test_a_caller_that_leaves_in_the_midst_of_a_request_cuts_no_request_short(server: Server, link: Link) -> None:
    """Not even its own: half of it would spoil the connection for all."""
    os.kill(server.pid, signal.SIGSTOP)
    sizes: list[int] = []
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0.05):
            nursery.start_soon(measure, link, b"goes with it", sizes)
            await link.ask(b"ECHO", _MUCH)
        os.kill(server.pid, signal.SIGCONT)
    assert sizes == [len(b"goes with it")]
    assert await link.ask(b"ECHO", b"still") == b"still"


@on_one
async def test_a_command_does_not_cut_into_one_that_is_being_sent(server: Server, link: Link) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    sizes: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(measure, link, _MUCH, sizes)
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.start_soon(measure, link, b"later", sizes)
        await trio.testing.wait_all_tasks_blocked(0.05)
        os.kill(server.pid, signal.SIGCONT)
    assert sorted(sizes) == [len(b"later"), len(_MUCH)]


@on_one
async def test_a_reply_that_no_request_asked_for_ends_the_connection(link: Link) -> None:
    link.say(b"ECHO", b"unasked")
    await trio.testing.wait_all_tasks_blocked(0.05)
    with pytest.raises(ConnectionError) as caught:
        await link.ask(b"PING")
    assert "a reply that no request asked for: b'unasked'" in str(caught.value.__cause__)


@pytest.mark.parametrize("answer", [b"-ERR unknown command 'HELLO'\r\n", b"-NOPROTO unsupported protocol version\r\n"])
async def test_a_server_that_is_too_old_to_greet_is_named_so(answer: bytes) -> None:
    async def greet(stream: trio.SocketStream) -> None:
        async for _ in stream:
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, greet, [listener])
        port = listener.socket.getsockname()[1]
        with pytest.raises(BackendError, match=r"a Redis before 6: trioq needs 6\.2 or later, or Valkey"):
            async with RedisBackend(f"redis://127.0.0.1:{port}"):
                pass
        nursery.cancel_scope.cancel()


@on_one
async def test_a_user_without_a_password_is_that_user(server: Server) -> None:
    server.command("ACL", "SETUSER", "app", "on", "nopass", "~*", "&*", "+@all")
    async with trio.open_nursery() as nursery:
        link = await Link.open(Address.parse(f"redis://app@127.0.0.1:{server.port}"), nursery)
        assert await link.ask(b"ACL", b"WHOAMI") == b"app"
        nursery.cancel_scope.cancel()


@on_one
async def test_callers_that_wait_when_the_server_ends_are_told_at_once(server: Server, link: Link) -> None:
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


@on_one
async def test_a_caller_that_finds_the_connection_broken_is_told_the_same(server: Server, link: Link) -> None:
    server.kill()
    link.say(b"PING")  # this one still leaves; its answer is that no server is there
    with pytest.raises(ConnectionError, match="lost before an answer came"):
        await link.ask(b"PING")


@on_one
async def test_pushed_messages_are_passed_on_until_the_connection_breaks(server: Server) -> None:
    said: list[object] = []
    async with trio.open_nursery() as nursery:
        link = await Link.open(Address.parse(server.url), nursery, said.append)
        link.say(b"SUBSCRIBE", b"c")
        await link.ask(b"PING")
        assert said == [[b"subscribe", b"c", 1]]
        server.kill()
        with trio.fail_after(3):
            await link.broken()


@on_one
async def test_a_pushed_message_whose_callback_raises_ends_the_connection(server: Server) -> None:
    def fail(said: object) -> None:
        raise ValueError(said)

    async with trio.open_nursery() as nursery:
        link = await Link.open(Address.parse(server.url), nursery, fail)
        link.say(b"SUBSCRIBE", b"c")
        with trio.fail_after(3):
            assert str(await link.broken()) == "[b'subscribe', b'c', 1]"
        assert not link.usable


@on_one
async def test_a_connection_that_was_given_up_is_closed(server: Server, link: Link) -> None:
    alone = server.command("CLIENT", "LIST").count(b" addr=") - 1
    link.close()
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert server.command("CLIENT", "LIST").count(b" addr=") == alone


@on_one
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
