"""Hints over pub/sub: which process receives which hint, and that nothing is lost while none arrive."""

from __future__ import annotations

import pytest
import trio

from tests.servers import Server
from trioq import Queue, Worker
from trioq.abc import Hint
from trioq.backends._hints import ALL_HINTS
from trioq.backends.redis import RedisBackend
from trioq.lifecycle import Cancel, Complete, Job, step


def a_job(id: str = "1", **fields: object) -> Job:
    return Job(**{"id": id, "queue": "q", "task": "t", **fields})


async def quiet(hints: trio.abc.ReceiveChannel[Hint], seconds: float = 0.1) -> None:
    """Take the hints that come when it begins to listen, and wait until none has come for so long."""
    while True:
        with trio.move_on_after(seconds) as waiting:
            await hints.receive()
        if waiting.cancelled_caught:
            return


async def next_hint(hints: trio.abc.ReceiveChannel[Hint]) -> Hint:
    """The next hint that says what has happened.  After a stall of the machine a hint of every kind comes."""
    while (hint := await hints.receive()) == ALL_HINTS:
        pass
    return hint


async def test_each_kind_of_hint_comes_from_another_process(server: Server) -> None:
    async with RedisBackend(server.url) as here, RedisBackend(server.url) as there, here.watch(["q"]) as hints:
        await quiet(hints)
        with trio.fail_after(30):
            await there.insert([a_job("1"), a_job("2")])
            assert await next_hint(hints) == Hint.READY
            done, cancelled = (await there.claim(["q"], 9, "w", 15, idle=False)).jobs
            await there.settle([step(done, Complete(b"1"), done.run_at)])
            assert await next_hint(hints) == Hint.FINISHED
            await there.settle([step(cancelled, Cancel(), done.run_at)])
            both = Hint.FINISHED | Hint.CANCELLED  # by two channels, and so together or one after the other
            assert (first := await next_hint(hints)) in both
            assert first == both or first | await next_hint(hints) == both
            await there.pause("q")
            assert await next_hint(hints) == Hint.PAUSED
            await there.resume("q")
            assert await next_hint(hints) == Hint.PAUSED | Hint.READY


async def test_a_watcher_of_ends_gets_these_alone_and_a_worker_gets_all_but_these(server: Server) -> None:
    async with (
        RedisBackend(server.url) as one,
        RedisBackend(server.url) as two,
        RedisBackend(server.url) as there,
        one.watch_only(Hint.FINISHED, ["q"]),
        two.watch_only(Hint.READY, ["q"]),
    ):
        pushed = {backend: recorded(backend) for backend in (one, two)}
        await there.insert([a_job()])
        [job] = (await there.claim(["q"], 9, "w", 15, idle=False)).jobs
        await there.settle([step(job, Complete(), job.run_at)])
        await there.insert([a_job("2")])
        with trio.fail_after(30):
            while len(pushed[one]) < 1 or len(pushed[two]) < 2:  # noqa: ASYNC110  no hint says that all are there
                await trio.sleep(0.01)
        assert [bits for bits, _ in pushed[one]] == [b"4"]
        assert [bits for bits, _ in pushed[two]] == [b"1", b"1"]


async def test_a_new_watcher_of_ends_wakes_no_worker(server: Server) -> None:
    async with RedisBackend(server.url) as backend, backend.watch_only(Hint.READY | Hint.CANCELLED, ["q"]) as work:
        await quiet(work)
        async with backend.watch_only(Hint.FINISHED, ["q"]) as ends:
            assert await ends.receive() == Hint.FINISHED, "what happened before, no hint has told"
        with trio.move_on_after(0.1) as waiting:
            await next_hint(work)
        assert waiting.cancelled_caught


def recorded(backend: RedisBackend) -> list[list[bytes]]:
    """What the server publishes to a backend from now on, word by word."""
    words: list[list[bytes]] = []
    link = backend._listener._link
    assert link is not None
    take = link._hear

    def record(push: list[bytes]) -> None:
        if push[0] == b"message":
            words.append(push[2].split())
        take(push)

    link._hear = record
    return words


async def test_a_write_of_this_process_gives_one_hint_together_with_its_reply(server: Server) -> None:
    async with RedisBackend(server.url) as backend, backend.watch(["q"]) as hints:
        await quiet(hints)
        await backend.insert([a_job("1"), a_job("2")])
        with trio.fail_after(30):
            assert await next_hint(hints) == Hint.READY
        for sender, queue_hints in ((backend._me, False), (b"another", True)):
            server.command("PUBLISH", "{trioq}:q:hints", b"1 " + sender)
            with trio.move_on_after(3 if queue_hints else 0.2) as waiting:
                await next_hint(hints)
            assert waiting.cancelled_caught != queue_hints, (
                "its own message is passed over: the hint came with the reply"
            )


async def test_hints_of_other_queues_and_prefixes_are_not_received(server: Server) -> None:
    async with (
        RedisBackend(server.url) as here,
        RedisBackend(server.url) as there,
        RedisBackend(server.url, prefix="other") as stranger,
        here.watch(["q"]) as hints,
    ):
        await quiet(hints)
        await there.insert([a_job(queue="other")])
        await stranger.insert([a_job()])
        with trio.move_on_after(0.1) as waiting:
            await next_hint(hints)
        assert waiting.cancelled_caught


async def test_to_begin_to_watch_takes_no_longer_than_the_server(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        began = trio.current_time()
        async with backend.watch(["q", "r"]), backend.watch(["s"]):
            assert trio.current_time() - began < 0.9, "after a second it would go on without"


async def test_a_message_that_makes_no_sense_is_passed_over(server: Server) -> None:
    async with RedisBackend(server.url) as here, here.watch(["q"]) as hints:
        await quiet(hints)
        link = here._listener._link
        for message in (b"", b"\xff", b"READY me", b"9" * 5_000, b"999 me"):
            server.command("PUBLISH", "{trioq}:q:hints", message)
        with trio.fail_after(30):
            assert await hints.receive()  # the last one: what a newer trioq may say besides is left out
        assert here._listener._link is link, "no message ends the connection"


async def test_a_listener_that_was_cut_off_wakes_every_watcher_and_listens_again(server: Server) -> None:
    async with RedisBackend(server.url) as here, RedisBackend(server.url) as there, here.watch(["q"]) as hints:
        await quiet(hints)
        server.command("CLIENT", "KILL", "TYPE", "pubsub")
        with trio.fail_after(30):
            assert Hint.READY in await hints.receive(), "something may have happened without a hint"
        await quiet(hints, 1)
        await there.insert([a_job()])
        with trio.fail_after(30):
            assert await next_hint(hints) == Hint.READY


async def test_jobs_start_within_a_second_where_the_user_may_not_subscribe(server: Server) -> None:
    server.command("ACL", "SETUSER", "deaf", "on", ">pw", "~*", "resetchannels", "+@all", "-@pubsub", "+publish")
    started = trio.Event()
    queue = Queue("q", backend=RedisBackend(f"redis://deaf:pw@127.0.0.1:{server.port}"))

    @queue.task
    async def t() -> None:
        started.set()

    async with queue, RedisBackend(server.url) as there, trio.open_nursery() as nursery:
        worker = Worker(queue)
        await nursery.start(worker.start)
        await trio.sleep(0.5)
        await there.insert([a_job()])
        with trio.fail_after(5):
            await started.wait()
        worker.stop(grace=0)


@pytest.mark.parametrize("many", [1, 5])
async def test_a_queue_is_listened_to_until_its_last_watcher_has_left(server: Server, many: int) -> None:
    async with RedisBackend(server.url) as backend:
        for _ in range(many):
            async with backend.watch(["q"]), backend.watch(["q", "r"]):
                assert _subscribers(server) == dict.fromkeys(CHANNELS, 1)
        with trio.fail_after(30):
            while any(_subscribers(server).values()):  # noqa: ASYNC110  the server sends no word of it
                await trio.sleep(0.01)


async def test_a_worker_is_not_told_of_each_job_that_ends(server: Server) -> None:
    async with RedisBackend(server.url) as backend, trio.open_nursery() as nursery:
        worker = Worker(Queue("q", backend=backend))
        await nursery.start(worker.start)
        assert _subscribers(server) == {channel: int(channel == "{trioq}:q:hints") for channel in CHANNELS}
        async with backend.watch_only(Hint.FINISHED, ["r"]):
            assert _subscribers(server)["{trioq}:r:ends"] == 1
            assert _subscribers(server)["{trioq}:r:hints"] == 0
        worker.stop(grace=0)


CHANNELS = ["{trioq}:q:hints", "{trioq}:q:ends", "{trioq}:r:hints", "{trioq}:r:ends"]


def _subscribers(server: Server) -> dict[str, int]:
    lines = server.command("PUBSUB", "NUMSUB", *CHANNELS).split(b"\r\n")
    return dict(zip(CHANNELS, (int(line[1:]) for line in lines if line.startswith(b":")), strict=True))
