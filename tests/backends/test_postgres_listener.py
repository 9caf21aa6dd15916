"""Hints by NOTIFY: which watchers get them, what proves that they arrive, and what is done while none arrive."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
import trio

from tests.postgres_server import PostgresServer, shared
from tests.proxy import all_of_them, proxy_before
from trioq.abc import Hint
from trioq.backends._hints import ALL_HINTS, HintChannel, HintChannels
from trioq.backends.postgres import listener as module
from trioq.backends.postgres.connection import Connection, connect
from trioq.backends.postgres.listener import Listener, message
from trioq.backends.postgres.queries import channel_of

_numbers = count()


@pytest.fixture(scope="module")
def server() -> PostgresServer:
    return shared()


class ListenerTest:
    """A listener with all that belongs to it; *sends* its proofs, where it is given."""

    def __init__(self, url: str, sends: Callable[[str, str], Awaitable[object]] | None = None) -> None:
        self.url, self.name = url, f"listener-{next(_numbers)}"
        self.channels, self.sent = HintChannels(), 0
        self._sends = sends or self._send
        self.channel = channel_of(self.name)
        self.listener = Listener(self._connect, self._prove, self.channel, self.channels, "me")

    async def _connect(self) -> Connection[Any]:
        return await connect(self.url, autocommit=True, application_name=self.name, connect_timeout=2)

    async def _prove(self, channel: str, text: str) -> None:
        self.sent += 1
        await self._sends(channel, text)

    async def _send(self, channel: str, text: str) -> None:
        async with await connect(self.url, autocommit=True) as other:
            await other.execute("SELECT pg_notify(%s, %s)", (channel, text))

    def say(self, server: PostgresServer, queue: str, hint: Hint, sender: str = "you") -> None:
        """What another process may say."""
        server.sql("SELECT pg_notify(%s, %s)", self.channel, message(queue, hint, sender))

    @asynccontextmanager
    async def watch(self, *queues: str) -> AsyncIterator[HintChannel]:
        """As a backend does it.  The hint that comes when it begins to listen is taken off."""
        async with self.channels.watch(queues) as hints, self.listener.listening(queues):
            with trio.move_on_after(0.3):
                await hints.receive()
            yield hints


@asynccontextmanager
async def reader_at(
    url: str, sends: Callable[[str, str], Awaitable[object]] | None = None
) -> AsyncIterator[ListenerTest]:
    reader = ListenerTest(url, sends)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.listener.run)
        yield reader
        nursery.cancel_scope.cancel()


async def nowhere(channel: str, text: str) -> None:
    """Lose the message, as a pooler in transaction mode does."""


async def queue_hints(hints: HintChannel, within: float) -> Hint | None:
    """The hint that comes within so many seconds."""
    with trio.move_on_after(within):
        return await hints.receive()
    return None


# --- notifications ------------------------------------------------------------------------------


async def test_a_notification_of_another_process_wakes_the_watchers_of_its_queue(server: PostgresServer):
    async with reader_at(server.url) as reader, reader.watch("a b") as first, reader.watch("c") as second:
        await queue_hints(first, 0.1)
        reader.say(server, "a b", Hint.READY | Hint.PAUSED)
        assert await queue_hints(first, 5) == Hint.READY | Hint.PAUSED
        assert await queue_hints(second, 0.05) is None


async def test_a_notification_of_this_process_wakes_no_watcher_again(server: PostgresServer):
    async with reader_at(server.url) as reader, reader.watch("a") as hints:
        reader.say(server, "a", Hint.READY, sender="me")
        assert await queue_hints(hints, 0.1) is None


NONSENSE = ["", " ", "x", "1", "1 you", "-1 you a", "99999 you a", "² you a", "1 you  a", "😀"]


@pytest.mark.parametrize("text", [*NONSENSE, pytest.param("9" * 5_000 + " you a", id="5,000 digits")])
async def test_a_notification_that_makes_no_sense_is_passed_over(server: PostgresServer, text: str):
    async with reader_at(server.url) as reader, reader.watch("a") as hints:
        server.sql("SELECT pg_notify(%s, %s)", reader.channel, text)
        await queue_hints(hints, 0.05)
        reader.say(server, "a", Hint.FINISHED)
        assert await queue_hints(hints, 5) == Hint.FINISHED


@pytest.mark.parametrize("schema", ["trioq", 'a "quoted" name', "ü" * 31, "x" * 63, "%s", "Trioq"])
async def test_any_schema_has_a_channel_of_its_own(server: PostgresServer, schema: str):
    assert len(channel_of(schema).encode()) <= 63
    assert channel_of(schema) != channel_of(schema.swapcase()) or schema.swapcase() == schema
    async with reader_at(server.url) as reader:
        reader.listener._channel = reader.channel = channel_of(schema)
        async with reader.watch("a") as hints:
            reader.say(server, "a", Hint.READY)
            assert await queue_hints(hints, 5) == Hint.READY


def test_a_message_fits_whatever_a_notification_may_carry():
    assert len(message("q" * 200, ALL_HINTS, "f" * 16)) < 240


# --- the connection -----------------------------------------------------------------------------


async def test_a_listener_connects_only_once_a_queue_is_watched(server: PostgresServer):
    async with reader_at(server.url) as reader:
        await trio.sleep(0.1)
        assert server.connections(reader.name) == 0
        async with reader.watch("a"), reader.watch("b"):
            assert server.connections(reader.name) == 1


async def test_a_listener_that_begins_to_listen_wakes_every_watcher(server: PostgresServer):
    async with reader_at(server.url) as reader, reader.channels.watch(["a"]) as hints, reader.listener.listening(["a"]):
        assert await queue_hints(hints, 5) == ALL_HINTS


async def test_a_connection_that_breaks_is_replaced_and_wakes_every_watcher(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_DEAF", 0.1)
    async with reader_at(server.url) as reader, reader.watch("a") as hints:
        server.sql(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE application_name = %s", reader.name
        )
        assert await queue_hints(hints, 5) == ALL_HINTS
        await _until_listening(server, reader)
        while await queue_hints(hints, 0.3):
            pass
        reader.say(server, "a", Hint.READY)
        assert await queue_hints(hints, 5) == Hint.READY


async def test_starting_over_connects_anew_at_once(server: PostgresServer):
    async with reader_at(server.url) as reader, reader.watch("a") as hints:
        [(before,)] = server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = %s", reader.name)
        reader.listener.start_over()
        assert await queue_hints(hints, 5) == ALL_HINTS
        await _until_listening(server, reader)
        [(after,)] = server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = %s", reader.name)
        assert before != after


async def _until_listening(server: PostgresServer, reader: ListenerTest) -> None:
    asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND query LIKE 'LISTEN%%'"
    with trio.fail_after(30):
        while server.sql(asked, reader.name) == [(0,)]:  # noqa: ASYNC110  it is another process that is waited for
            await trio.sleep(0.01)


# --- proofs -------------------------------------------------------------------------------------


async def test_a_listener_that_works_wakes_no_watcher_and_asks_for_a_proof_now_and_then(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_PROOFS", 0.5)
    async with reader_at(server.url) as reader, reader.watch("a") as hints:
        assert await queue_hints(hints, 2) is None
        assert 2 <= reader.sent <= 6


async def test_a_notification_that_comes_anyway_is_proof_enough(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_PROOFS", 1.0)
    async with reader_at(server.url) as reader, reader.watch("a") as hints:
        for _ in range(15):
            await trio.sleep(0.1)
            reader.say(server, "a", Hint.READY)
            assert await queue_hints(hints, 5) == Hint.READY
        assert reader.sent == 1


async def test_no_proof_is_asked_for_while_no_queue_is_watched(server: PostgresServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_PROOFS", 0.05)
    async with reader_at(server.url) as reader:
        async with reader.watch("a"):
            pass
        before = reader.sent
        await trio.sleep(0.5)
        assert reader.sent <= before + 1


async def test_every_watcher_is_woken_again_and_again_while_nothing_comes_through(
    server: PostgresServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level(logging.INFO, "trioq")
    monkeypatch.setattr(module, "_DOUBT", 0.4)
    monkeypatch.setattr(module, "_AGAIN", 0.4)
    async with reader_at(server.url, nowhere) as reader, reader.watch("a") as hints:
        for _ in range(4):
            assert await queue_hints(hints, 2) == ALL_HINTS
        assert reader.sent > 1
    assert ["pooler in transaction mode" in record.message for record in caplog.records] == [True]


async def test_a_connection_that_falls_silent_is_noticed(own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_PROOFS", 0.3)
    monkeypatch.setattr(module, "_DOUBT", 0.5)

    async def send(channel: str, text: str) -> None:
        own_server.sql("SELECT pg_notify(%s, %s)", channel, text)

    async with proxy_before(own_server) as proxy:
        url = own_server.url.replace(str(own_server.port), str(proxy.port))
        async with reader_at(url, send) as reader, reader.watch("a") as hints:
            assert await queue_hints(hints, 1) is None
            proxy.hold(all_of_them)
            began = trio.current_time()
            assert await queue_hints(hints, 5) == ALL_HINTS
            assert trio.current_time() - began < 4.5
            assert await queue_hints(hints, 5) == ALL_HINTS
