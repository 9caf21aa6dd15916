"""How often a server is asked: calls that come together go together, and each of them gets its own answer."""

from __future__ import annotations

import os
import signal

import pytest
import trio
import trio.testing

from tests.servers import Server
from trioq import BackendError, BackendUnavailable, Queue, Worker
from trioq.abc import Filter, Retention
from trioq.backends.redis import RedisBackend
from trioq.lifecycle import Cancel, Complete, Job, State, step


def a_job(id: str = "1", **fields: object) -> Job:
    return Job(**{"id": id, "queue": "q", "task": "t", **fields})


def requests(server: Server) -> int:
    """How many scripts clients have asked for."""
    return sum(count for name, count in commands(server).items() if name in ("eval", "evalsha"))


def commands(server: Server) -> dict[str, int]:
    """How often each command ran, in a script or not."""
    counts = {}
    for line in server.command("INFO", "commandstats").decode().splitlines():
        if line.startswith("cmdstat_"):
            name, _, rest = line.removeprefix("cmdstat_").partition(":calls=")
            counts[name] = int(rest.partition(",")[0])
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(("concurrency", "bar"), [(100, 0.1), (10, 0.3)])
async def test_a_busy_worker_asks_less_than_once_for_many_jobs(server: Server, concurrency: int, bar: float) -> None:
    queue = Queue("q", backend=RedisBackend(server.url))

    @queue.task
    async def noop() -> None:
        pass

    async with queue:
        await queue.enqueue_many(noop.bind() for _ in range(2_000))
        before = requests(server)
        await Worker(queue, concurrency=concurrency).run_until_idle()
        assert (requests(server) - before) / 2_000 <= bar
        assert (await queue.counts())["completed"] == 2_000


async def test_concurrent_single_calls_merge_while_one_is_under_way(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        before = requests(server)
        created: list[bool] = []

        async def enqueue(number: int) -> None:
            reply = await backend.insert([a_job(str(number))])
            assert [job.id for job in reply.jobs] == [str(number)]
            created.extend(reply.created)

        async with trio.open_nursery() as nursery:
            for number in range(500):
                nursery.start_soon(enqueue, number)
        assert created == [True] * 500
        assert requests(server) - before <= 10


async def test_those_who_come_when_a_group_is_done_make_another(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        for turn in range(3):
            with trio.fail_after(30):
                async with trio.open_nursery() as nursery:
                    for number in range(5):
                        nursery.start_soon(backend.insert, [a_job(f"{turn}-{number}")])
        assert (await backend.counts("q"))[State.WAITING] == 15


async def test_what_merges_is_no_more_than_a_few_megabytes(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        before = requests(server)
        async with trio.open_nursery() as nursery:
            for number in range(7):
                nursery.start_soon(backend.insert, [a_job(str(number), payload=b"x" * 2**20)])
        assert requests(server) - before == 1 + 3, (
            "one at once, four and two; the first is sent by its script's name, and then whole"
        )
        jobs = (await backend.claim(["q"], 7, "w", 15, idle=False)).jobs
        before = requests(server)
        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(backend.settle, [step(job, Complete(b"x" * 2**20), job.run_at)])
        assert requests(server) - before == 1 + 3, (
            "one at once, four and two; the first is sent by its script's name, and then whole"
        )


async def test_a_group_that_all_its_callers_have_left_is_not_sent(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        before = requests(server)
        os.kill(server.pid, signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backend.insert, [a_job("under way")])
            await trio.testing.wait_all_tasks_blocked(0.05)
            with trio.move_on_after(0.05):
                await backend.insert([a_job("left")])
            os.kill(server.pid, signal.SIGCONT)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert requests(server) - before == 2, "the first script is sent by its name, and then whole"


async def test_who_was_never_sent_is_told_so(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        backend.patience = 0.5
        os.kill(server.pid, signal.SIGSTOP)

        async def insert(told: str) -> None:
            with pytest.raises(BackendUnavailable, match=told):
                await backend.insert([a_job(told)])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(insert, "whether the write was stored is unknown")
            await trio.testing.wait_all_tasks_blocked(0.05)
            backend.patience = 0.1
            nursery.start_soon(insert, "it was not sent")
        os.kill(server.pid, signal.SIGCONT)


async def test_each_of_a_group_that_failed_raises_an_error_of_its_own(server: Server) -> None:
    errors: list[BackendUnavailable] = []
    async with RedisBackend(server.url) as backend:
        server.kill()

        async def insert(number: int) -> None:
            with pytest.raises(BackendUnavailable, match="can't be reached") as caught:
                await backend.insert([a_job(str(number))])
            errors.append(caught.value)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(insert, number)
    assert len({id(error) for error in errors}) == 5
    assert all(error.__cause__ is not None for error in errors)


async def test_an_item_that_is_refused_fails_alone(server: Server) -> None:
    async with RedisBackend(server.url) as backend, trio.open_nursery() as nursery:
        [bad, *good] = (await backend.insert([a_job(str(number)) for number in range(4)])).jobs
        broken = step(bad, Cancel(), bad.run_at).noting(payload=b"no change may touch it")

        async def settle_well(job: Job) -> None:
            assert list((await backend.settle([step(job, Cancel(), job.run_at)])).verdicts) == ["stored"]

        async def settle_badly() -> None:
            with pytest.raises(BackendError, match="can't set 'colour'"):
                await backend.settle([broken.noting(colour="red")])

        os.kill(server.pid, signal.SIGSTOP)  # so that the first one is under way until the others have gathered
        try:
            nursery.start_soon(settle_well, good[0])
            await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.start_soon(settle_well, good[1])
            nursery.start_soon(settle_badly)
            nursery.start_soon(settle_well, good[2])
            await trio.testing.wait_all_tasks_blocked(0.05)
        finally:
            os.kill(server.pid, signal.SIGCONT)


async def test_a_call_that_is_cancelled_in_its_group_leaves_it(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        os.kill(server.pid, signal.SIGSTOP)  # so that the first call is under way for as long as we like
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backend.insert, [a_job("under way")])
            await trio.testing.wait_all_tasks_blocked(0.05)
            with trio.move_on_after(0.05) as cancelled:
                await backend.insert([a_job("left")])
            assert cancelled.cancelled_caught
            nursery.start_soon(backend.insert, [a_job("after it")])
            await trio.testing.wait_all_tasks_blocked()
            os.kill(server.pid, signal.SIGCONT)
        found = (await backend.get("q", ["under way", "left", "after it"])).jobs
        assert [job and job.id for job in found] == ["under way", None, "after it"]


async def test_a_job_among_many_costs_six_commands(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        told = sum(commands(server).values())

        def told_since() -> int:
            nonlocal told
            before, told = told, sum(commands(server).values())
            return told - before

        await backend.insert([a_job(str(number)) for number in range(500)])
        assert told_since() < 500 + 25, "its record"
        jobs = (await backend.claim(["q"], 500, "w", 15, idle=False)).jobs
        assert told_since() < 2 * 500 + 25, "its record is read and written"
        await backend.settle([step(job, Complete(b"1"), job.run_at) for job in jobs])
        assert told_since() < 3 * 500 + 25, "what is compared is read; fields are set, and others cleared"


async def test_an_id_is_known_however_many_come_before_it(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([a_job("known")])
        reply = await backend.insert([a_job(id) for id in (*map(str, range(1_500)), "known", "7")])
        assert list(reply.created) == [True] * 1_500 + [False, False]


async def test_jobs_of_a_batch_have_ranks_of_their_own(server: Server) -> None:
    ranks = [(1, 20.0), (0, 20.0), (0, 10.0), (1, 10.0)]
    async with RedisBackend(server.url, clock=lambda: 1.0) as backend:
        await backend.insert(
            [a_job(f"{priority} {run_at:g}", priority=priority, run_at=run_at) for priority, run_at in ranks]
        )
    async with RedisBackend(server.url, clock=lambda: 30.0) as backend:
        claimed = (await backend.claim(["q"], 9, "w", 15, idle=False)).jobs
        assert [job.id for job in claimed] == ["0 10", "0 20", "1 10", "1 20"]


async def test_a_claim_costs_the_same_whatever_waits_or_has_ended(server: Server) -> None:
    async with RedisBackend(server.url) as backend:

        async def cost() -> int:
            await backend.insert([a_job(f"probe-{server.pid}-{trio.current_time()}")])
            before = sum(commands(server).values())
            [job] = (await backend.claim(["q"], 1, "w", 15, idle=False)).jobs
            after = sum(commands(server).values())
            await backend.settle([step(job, Complete(), job.run_at)])
            return after - before

        alone = await cost()
        await backend.insert([a_job(f"later {number}", delay=3_600.0) for number in range(5_000)])
        await backend.insert([a_job(f"never {number}") for number in range(1_000)])
        for job in (await backend.claim(["q"], 1_000, "w", 15, idle=False)).jobs:
            assert job.id.startswith("never")
        assert await cost() <= alone + 1


async def test_only_what_may_match_is_looked_at(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        jobs = (await backend.insert([a_job(str(number)) for number in range(2_000)])).jobs
        await backend.settle([step(job, Cancel(), job.run_at) for job in jobs[:1_990]])
        before = commands(server)["hmget"]
        page = await backend.find(Filter(queue="q", states=frozenset({State.WAITING})), None, 100)
        assert [job.id for job in page.jobs] == [str(number) for number in range(1_990, 2_000)]
        assert page.cursor is None
        assert commands(server)["hmget"] - before <= 10
        before = sum(commands(server).values())
        await backend.counts("q")
        assert sum(commands(server).values()) - before <= 10


async def test_nothing_is_left_of_jobs_that_were_pruned(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        for turn in range(3):
            await backend.insert(
                [a_job(f"{turn}-{number}", unique_key=f"k{number}", ttl=60.0) for number in range(300)]
            )
            jobs = (await backend.claim(["q"], 300, f"w{turn}", 15, idle=False)).jobs
            await backend.settle([step(job, Complete(b"1"), job.run_at) for job in jobs])
        limits = Retention(keep_completed=0, keep_completed_max=0, keep_dead=0, keep_dead_max=0)
        assert await backend.prune(["q"], limits) == 900
        left = server.command("KEYS", "*")
        assert sorted(word.decode() for word in left.split(b"\r\n") if word.startswith(b"{trioq}")) == [
            "{trioq}:layout",
            "{trioq}:seq",
        ]


async def test_there_are_as_many_keys_as_the_retention_says_however_many_jobs_there_were(server: Server) -> None:
    backend = RedisBackend(server.url)
    queue = Queue("q", backend=backend)

    @queue.task
    async def noop() -> None:
        pass

    limits = Retention(keep_completed=3_600, keep_completed_max=50, keep_dead=3_600, keep_dead_max=50)
    sizes = []
    async with queue:
        for turn in range(3):
            calls = (noop.options(unique_key=f"{turn}-{number}", ttl=60).bind() for number in range(500))
            await queue.enqueue_many(calls)
            await Worker(queue).run_until_idle()
            assert await backend.prune(["q"], limits) == (450 if turn == 0 else 500)
            sizes.append(int(server.command("DBSIZE")[1:]))
    assert sizes == [sizes[0]] * 3
    assert sizes[0] <= 50 + 10, "one for each kept job, and some for the queue and the store"
