"""Redis refuses: who may not, what is full, what only a replica has.  What the caller is told, and what it takes."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from tests.proxy import proxy_before
from tests.servers import Server, until_it_answers
from trioq import BackendError, BackendUnavailable
from trioq.abc import Hint, Presence
from trioq.backends.redis import RedisBackend
from trioq.lifecycle import Cancel, Complete, Job, step


def a_job(id: str = "1", **fields: object) -> Job:
    return Job(**{"id": id, "queue": "q", "task": "t", **fields})


async def test_a_wrong_password_and_none_at_all_are_explained(server: Server) -> None:
    server.command("CONFIG", "SET", "requirepass", "sesame")
    with pytest.raises(BackendError, match="is wrong") as wrong:
        async with RedisBackend(f"redis://:open@127.0.0.1:{server.port}"):
            pass
    with pytest.raises(BackendError, match="wants a password") as none:
        async with RedisBackend(server.url):
            pass
    for refused in (wrong, none):
        assert not isinstance(refused.value, BackendUnavailable)
        assert refused.value.__cause__ is not None
        assert "open" not in str(refused.value)
    async with RedisBackend(f"redis://:sesame@127.0.0.1:{server.port}") as backend:
        await backend.insert([a_job()])
        assert "sesame" not in repr(backend)


async def test_a_replica_is_unavailable_until_it_is_a_primary(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([a_job("1")])
        server.command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(BackendUnavailable, match="it is a replica"):
            await backend.insert([a_job("2")])
        server.command("REPLICAOF", "NO", "ONE")
        await until_it_answers(backend)
        assert list((await backend.insert([a_job("2")])).created) == [True]


async def test_after_a_failover_jobs_and_hints_are_where_the_url_leads(server: Server) -> None:
    promoted = Server(server.program)
    try:
        async with (
            proxy_before(server) as proxy,
            RedisBackend(f"redis://127.0.0.1:{proxy.port}") as backend,
            backend.watch(["q"]) as hints,
        ):
            await backend.insert([a_job("1")])
            proxy.server = promoted
            server.command("REPLICAOF", "127.0.0.1", "1")  # it lives on, and knows of nothing that happens there
            with pytest.raises(BackendUnavailable, match="it is a replica"):
                await backend.insert([a_job("2")])
            assert list((await backend.insert([a_job("2")])).created) == [True]
            async with RedisBackend(promoted.url) as there:
                with trio.fail_after(30):
                    await there.pause("q")
                    while await hints.receive() != Hint.PAUSED:
                        await there.pause("q")
    finally:
        promoted.close()


async def test_a_full_server_takes_nothing_and_says_what_to_do(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([a_job("1")])
        server.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(BackendUnavailable, match="out of memory"):
            await backend.insert([a_job("2")])
        server.command("CONFIG", "SET", "maxmemory", "0")
        assert (await backend.get("q", ["2"])).jobs == [None]
        await backend.insert([a_job("2")])


async def test_a_full_server_leaves_a_job_that_it_could_not_settle_where_it_lay(server: Server) -> None:
    now = 1_700_000_000.0
    async with RedisBackend(server.url, clock=lambda: now) as backend:
        held, ready = (await backend.insert([a_job("1", priority=-1), a_job("2")])).jobs
        [held] = (await backend.claim(["q"], 1, "w", 15, idle=False)).jobs
        server.command("CONFIG", "SET", "maxmemory", "1")
        for change in step(held, Complete(b"1"), now), step(ready, Cancel("no room"), now):
            with pytest.raises(BackendUnavailable, match="nothing was half-written"):
                await backend.settle([change])
        server.command("CONFIG", "SET", "maxmemory", "0")
        now += 60
        assert [job.id for job in (await backend.overdue(10)).jobs] == ["1"]
        assert [job.id for job in (await backend.claim(["q"], 9, "w", 15, idle=False)).jobs] == ["2"]


async def test_a_user_without_permission_is_told_what_it_takes(server: Server) -> None:
    server.command("ACL", "SETUSER", "ann", "on", ">pw", "~other:*", "&*", "+@all")
    with pytest.raises(BackendError, match="may not do that") as caught:
        async with RedisBackend(f"redis://ann:pw@127.0.0.1:{server.port}"):
            pass
    assert not isinstance(caught.value, BackendUnavailable)


async def test_the_permissions_that_an_error_asks_for_are_enough(server: Server) -> None:
    allowed = ("~{jobs}:*", "resetchannels", "&{jobs}:*", "+@all", "-@dangerous", "+info")
    server.command("ACL", "SETUSER", "bob", "on", ">pw", *allowed)
    async with RedisBackend(f"redis://bob:pw@127.0.0.1:{server.port}", prefix="jobs") as backend:
        async with backend.watch(["q"]) as hints:
            await backend.insert([a_job()])
            await hints.receive()
        [job] = (await backend.claim(["q"], 9, "w", 15, idle=False)).jobs
        await backend.settle([step(job, Complete(b"1"), job.started_at or 0.0)])


async def test_an_eviction_policy_that_throws_jobs_away_is_warned_of(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING, "trioq"):
        async with RedisBackend(server.url):
            pass
    assert "allkeys-lru" in caplog.text
    assert "noeviction" in caplog.text


async def test_a_policy_that_evicts_only_what_expires_is_not_warned_of(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.command("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    with caplog.at_level(logging.WARNING, "trioq"):
        async with RedisBackend(server.url) as backend:
            await backend.insert([a_job(ttl=60.0, unique_key="k")])
            await backend.claim(["q"], 1, "w", 15, idle=False)
            await backend.renew(Presence(worker="w", name="w", host="h", slots=1, lease=15), [])
    assert caplog.text == ""
    for key in server.command("KEYS", "*").split(b"\r\n"):
        if key.startswith(b"{trioq}"):
            assert server.command("PTTL", key) == b":-1\r\n"
