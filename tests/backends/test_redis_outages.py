"""What goes wrong with Redis while a worker is at work: it lives, says so, and loses no job that Redis has not lost."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from statistics import median
from uuid import uuid4

import attrs
import pytest
import trio

import trioq
from tests.proxy import Proxy, all_of_them, listeners, none, proxy_before
from tests.servers import Server, on_one
from trioq.abc import Hint
from trioq.backends._hints import ALL_HINTS
from trioq.backends.redis import RedisBackend
from trioq.lifecycle import Job

#: Seconds within which a worker notices that its server is gone, or is back, on a machine that is busy.
SOON = 15


@attrs.frozen
class Trouble:
    """What befalls a server or the way to it, how it ends, and what the worker says of it."""

    name: str
    begin: Callable[[Server, Proxy], object]
    end: Callable[[Server, Proxy], object]
    told: str


def _introduce(server: Server) -> None:
    """Make ann known to the server; a restart forgets her."""
    server.command("ACL", "SETUSER", "ann", "on", ">pw", "~*", "&*", "+@all")


def _url(proxy: Proxy) -> str:
    return f"redis://ann:pw@127.0.0.1:{proxy.port}"


def _crash(server: Server, proxy: Proxy) -> None:
    server.command("SAVE")
    server.kill()


def _restart(server: Server, proxy: Proxy) -> None:
    server.start()
    _introduce(server)


def _change_password(server: Server, proxy: Proxy) -> None:
    # A client that is connected stays so; the worker meets a broken connection first, and then the refusal.
    server.command("ACL", "SETUSER", "ann", "<pw", ">another")
    server.command("CLIENT", "KILL", "USER", "ann")


TROUBLES = [
    Trouble("restart", _crash, _restart, "can't be reached, or the connection broke"),
    Trouble(
        "reset",
        lambda _, proxy: proxy.break_all(),
        lambda _, proxy: proxy.mend(),
        "can't be reached, or the connection broke",
    ),
    Trouble(
        "freeze",
        lambda server, _: os.kill(server.pid, signal.SIGSTOP),
        lambda server, _: os.kill(server.pid, signal.SIGCONT),
        "no answer within 1 s",
    ),
    Trouble(
        "black hole",
        lambda _, proxy: proxy.hold(all_of_them),
        lambda _, proxy: proxy.hold(none),
        "no answer within 1 s",
    ),
    Trouble(
        "failover",
        lambda server, _: server.command("REPLICAOF", "127.0.0.1", "1"),
        lambda server, _: server.command("REPLICAOF", "NO", "ONE"),
        "it is a replica: a failover is under way, or the URL names the wrong server",
    ),
    Trouble(
        "password",
        _change_password,
        lambda server, _: server.command("ACL", "SETUSER", "ann", ">pw"),
        "the user name or the password of the URL is wrong",
    ),
    Trouble(
        "permissions",
        lambda server, _: server.command("ACL", "SETUSER", "ann", "-evalsha"),
        lambda server, _: server.command("ACL", "SETUSER", "ann", "+evalsha"),
        "this user may not do that. trioq needs ~{PREFIX}:*",
    ),
    Trouble(
        "full",
        lambda server, _: server.command("CONFIG", "SET", "maxmemory", "1"),
        lambda server, _: server.command("CONFIG", "SET", "maxmemory", "0"),
        "it is out of memory, and nothing was half-written. Raise maxmemory",
    ),
]


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    _introduce(server)
    async with proxy_before(server) as proxy:
        yield proxy


class Work:
    """A queue whose job runs until it is let go."""

    def __init__(self, url: str) -> None:
        self.queue = trioq.Queue("q", backend=RedisBackend(url))
        self.started = trio.Event()
        self.let_go = trio.Event()

        @self.queue.task
        async def hold() -> str:
            self.started.set()
            await self.let_go.wait()
            return "held"

        self.hold = hold

    def worker(self) -> trioq.Worker:
        """With a lease so short that it asks often."""
        return trioq.Worker(self.queue, lease=3)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
async def test_what_can_be_survived_is_and_is_told_when_it_begins_and_when_it_ends(
    server: Server, proxy: Proxy, trouble: Trouble, at_work, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(_url(proxy))
    async with work.queue, trioq.event_emitter.subscribe("backend:*") as events, at_work(work.worker()):
        job = await work.hold.enqueue()
        await work.started.wait()
        with trio.fail_after(SOON):
            trouble.begin(server, proxy)
            assert (await anext(events)).name == "backend:lost"
            while trouble.told not in caplog.text:  # noqa: ASYNC110  nothing tells when a line is logged
                await trio.sleep(0.01)
            work.let_go.set()  # its outcome waits
            trouble.end(server, proxy)
            assert (await anext(events)).name == "backend:recovered"
            assert await job.result() == "held"
            assert await (await work.hold.enqueue()).result() == "held"
        record = await job.refresh()
        assert (record.run, record.failures, record.crashes) == (1, 0, 0)


async def test_a_flushed_store_loses_its_jobs_and_no_worker(server: Server, at_work) -> None:
    work = Work(server.url)
    async with work.queue, trioq.event_emitter.subscribe("*") as events, at_work(work.worker()):
        await work.hold.enqueue()
        await work.started.wait()
        server.command("FLUSHALL")
        with trio.fail_after(SOON):
            async for event in events:
                assert not event.name.startswith("backend:"), "it was there all the time"
                if event.name == "job:lost":
                    break
            work.let_go.set()
            assert await (await work.hold.enqueue()).result() == "held"


@on_one
async def test_a_server_that_forgets_its_scripts_is_nothing_to_speak_of(server: Server, at_work) -> None:
    work = Work(server.url)
    async with work.queue, trioq.event_emitter.subscribe("backend:*") as events, at_work(work.worker()):
        job = await work.hold.enqueue()
        await work.started.wait()
        server.command("SCRIPT", "FLUSH")
        work.let_go.set()
        with trio.fail_after(SOON):
            assert await job.result() == "held"
        with trio.move_on_after(0.1):
            raise AssertionError(f"{await anext(events)} tells of nothing")


@on_one
@pytest.mark.parametrize("from_the_start", [True, False])
async def test_jobs_start_within_a_second_while_no_hint_gets_through(
    server: Server, proxy: Proxy, at_work, from_the_start: bool
) -> None:
    """The connection that listens is held up without an error; the other one works."""
    work = Work(_url(proxy))
    work.let_go.set()
    if from_the_start:
        proxy.hold(listeners)
    async with work.queue, at_work(trioq.Worker(work.queue)), RedisBackend(server.url) as there:
        proxy.hold(listeners)
        waits = []
        for _ in range(5):  # at different moments between two polls
            began = trio.current_time()
            await there.insert([Job(id=uuid4().hex, queue="q", task="hold", payload=b"[[],{}]")])
            await work.started.wait()
            waits.append(trio.current_time() - began)
            work.started = trio.Event()
            await trio.sleep(0.37)
        # A busy machine may hold up one or two; a worker that only polls takes two seconds each time.
        assert median(waits) < 1.25


@on_one
async def test_hints_are_received_again_once_they_get_through(server: Server, proxy: Proxy) -> None:
    async with RedisBackend(_url(proxy)) as here, RedisBackend(server.url) as there, here.watch(["q"]) as hints:
        proxy.hold(listeners)
        with trio.fail_after(SOON):
            for _ in range(3):
                assert await hints.receive() == ALL_HINTS, "what has happened is unknown, so anything may have"
            proxy.hold(none)
            await there.pause("q")
            while await hints.receive() != Hint.PAUSED:
                await there.pause("q")


@on_one
async def test_no_watcher_is_woken_for_nothing_while_hints_get_through(server: Server) -> None:
    async with RedisBackend(server.url) as backend, backend.watch(["q"]) as hints:
        with trio.move_on_after(0.3):
            while True:  # the hints that come when it begins to listen
                await hints.receive()
        # On a busy machine a proof may come late now and then, and wakes; without proofs there would be four hints.
        queue_hints = 0
        with trio.move_on_after(2):
            while True:
                await hints.receive()
                queue_hints += 1
        assert queue_hints <= 2
