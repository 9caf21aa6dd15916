"""A Redis Cluster: the whole store lies on one of its servers, whichever the URL names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
import trio

from tests.servers import EACH, PROGRAMS, Server
from trioq import BackendUnavailable
from trioq.abc import Retention
from trioq.backends.redis import RedisBackend
from trioq.lifecycle import Complete, Job, step

SLOTS = 16_384
LIMITS = Retention(keep_completed=0, keep_completed_max=0, keep_dead=0, keep_dead_max=0)


@pytest.fixture(params=EACH)
def cluster(request: pytest.FixtureRequest) -> Iterator[list[Server]]:
    """Two servers, each with half of the slots."""
    options = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
    with ExitStack() as stack:
        servers = [stack.enter_context(closing(Server(PROGRAMS[request.param], *options))) for _ in range(2)]
        for server, first in zip(servers, (0, SLOTS // 2), strict=True):
            for start in range(first, first + SLOTS // 2, 2_048):
                server.command("CLUSTER", "ADDSLOTS", *(str(slot) for slot in range(start, start + 2_048)))
        servers[0].command("CLUSTER", "SET-CONFIG-EPOCH", "1")
        servers[1].command("CLUSTER", "SET-CONFIG-EPOCH", "2")
        servers[0].command("CLUSTER", "MEET", "127.0.0.1", str(servers[1].port))
        deadline = time.monotonic() + 30
        while not all(_knows_all(server) for server in servers):
            assert time.monotonic() < deadline, "the servers don't find each other"
            time.sleep(0.05)
        yield servers


def _knows_all(server: Server) -> bool:
    told = server.command("CLUSTER", "INFO")
    return b"cluster_state:ok" in told and b"cluster_slots_assigned:%d" % SLOTS in told


async def test_a_store_is_found_from_either_server_and_spans_queues(cluster: list[Server]) -> None:
    async with RedisBackend(cluster[0].url) as here, RedisBackend(cluster[1].url) as there:
        async with there.watch(["a"]) as hints:
            await here.insert([Job(id=str(number), queue=queue, task="t") for queue in "ab" for number in range(3)])
            with trio.fail_after(30):
                await hints.receive()
        jobs = (await there.claim(["b", "a"], 10, "w", 15, idle=False)).jobs
        assert [(job.queue, job.id) for job in jobs] == [(queue, id) for queue in "ba" for id in "012"]
        settled = await here.settle([step(job, Complete(b"1"), jobs[0].run_at) for job in jobs])
        assert set(settled.verdicts) == {"stored"}
        assert await here.queues() == ["a", "b"]
        assert list((await there.overdue(10)).jobs) == []


async def test_a_slot_on_its_way_to_another_server_is_unavailable_to_verbs_that_name_no_job(
    cluster: list[Server],
) -> None:
    slot = _number(cluster[0].command("CLUSTER", "KEYSLOT", "{trioq}:"))
    owner, other = cluster if slot < SLOTS // 2 else reversed(cluster)
    name = other.command("CLUSTER", "MYID").split(b"\r\n")[1]
    async with RedisBackend(owner.url) as backend:
        await backend.insert([Job(id="1", queue="q", task="t")])
        owner.command("CLUSTER", "SETSLOT", str(slot), "MIGRATING", name)
        for call in (backend.queues, backend.workers, lambda: backend.overdue(1), lambda: backend.prune(["q"], LIMITS)):
            with pytest.raises(BackendUnavailable, match="the cluster is moving these keys"):
                await call()


async def test_a_store_that_moves_is_followed(cluster: list[Server]) -> None:
    slot = _number(cluster[0].command("CLUSTER", "KEYSLOT", "{trioq}:"))
    owner, other = cluster if slot < SLOTS // 2 else reversed(cluster)
    name = other.command("CLUSTER", "MYID").split(b"\r\n")[1]
    async with RedisBackend(owner.url) as backend:
        await backend.queues()
        for server in (other, owner):  # an empty slot needs no more than to be said whose it is
            server.command("FLUSHALL")
            server.command("CLUSTER", "SETSLOT", str(slot), "NODE", name)
        with trio.fail_after(30):
            while True:
                try:
                    reply = await backend.insert([Job(id="1", queue="q", task="t")])
                    break
                except BackendUnavailable:
                    await trio.sleep(0.05)
        assert list(reply.created) == [True]
        assert _number(other.command("DBSIZE")) > 0


def _number(reply: bytes) -> int:
    return int(reply[1:].split(b"\r\n")[0])
