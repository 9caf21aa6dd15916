"""What stands in Redis: whose keys, which layout, records that can't be read, and which URLs lead there."""

from __future__ import annotations

import subprocess
import sys

import pytest
import trio

from tests.servers import Server, shared
from trioq import BackendError, SchemaTooNew, TrioqError, open_backend
from trioq.abc import Filter, Presence, Retention
from trioq.backends.redis import RedisBackend
from trioq.backends.redis.keys import Keys, queue_named
from trioq.lifecycle import Cancel, Complete, Job, Requeue, State, step

NAMES = ["emails", "{", "}", "{}", "}{", "a{b}c", "%7B", "%", "%%25", ":", "a:b", "*", "'; DROP", "\\", "~" * 200]


@pytest.mark.parametrize("name", NAMES)
def test_whatever_its_name_a_queue_lies_in_the_slot_of_its_store(name: str) -> None:
    base = Keys("trioq").base(name)
    assert base.startswith("{trioq}:"), "the first braces decide where a key lies"
    assert base.count(":") == 2, "and a colon ends the name"
    assert queue_named(base.removeprefix("{trioq}:").removesuffix(":").encode()) == name


def test_no_two_queues_share_a_key() -> None:
    assert len({Keys("trioq").base(name) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("prefix", ["", "a{b", "}", "ü", "a\nb"])
def test_a_prefix_that_would_break_keys_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="a prefix is printable ASCII without braces"):
        RedisBackend("redis://localhost", prefix)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis://localhost", "<RedisBackend redis://localhost>"),
        ("valkey://:secret@db.example.org:7000/3", "<RedisBackend valkey://db.example.org:7000/3>"),
        ("rediss://ann:s%40crét@db.example.org?ssl_cert_reqs=none", "<RedisBackend rediss://db.example.org>"),
    ],
)
def test_urls_open_a_backend_and_passwords_are_not_shown(url: str, where: str) -> None:
    assert repr(open_backend(url)) == where


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://localhost/zero", "the database is a number"),
        ("redis:localhost", "redis://HOST/NUMBER"),
        ("redis://:pw@localhost?max_connections=3", "options that trioq does not know: max_connections"),
        ("redis://localhost?ssl_cert_reqs=none", "options that trioq does not know: ssl_cert_reqs"),
        ("http://localhost", "is no URL of Redis"),
    ],
)
def test_urls_that_make_no_sense_are_refused(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        RedisBackend(url)
    assert "pw" not in str(caught.value)


def test_trioq_needs_no_coredis_until_a_redis_backend_is_made() -> None:
    program = "import sys, trioq; assert trioq.RedisBackend; sys.exit('coredis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_missing_extra_says_what_to_install() -> None:
    program = "import sys; sys.modules['coredis'] = None; import trioq; trioq.open_backend('redis://localhost')"
    run = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert 'ExtraMissing: RedisBackend needs an extra. Install it with: pip install "trioq[redis]"' in run.stderr


async def test_stores_with_other_prefixes_and_databases_do_not_see_each_other() -> None:
    url = shared("valkey").url
    stores = [RedisBackend(url, "left"), RedisBackend(url, "right"), RedisBackend(f"{url}/5", "left")]
    for store in stores:
        async with store:
            assert await store.queues() == []
            await store.insert([Job(id="1", queue="q", task="t")])


async def test_a_newer_layout_is_left_alone(server: Server) -> None:
    server.command("SET", "{trioq}:layout", "2")
    with pytest.raises(SchemaTooNew, match="has layout 2, written by a newer trioq"):
        async with RedisBackend(server.url):
            pass


async def test_a_record_that_cannot_be_read_is_shown_and_says_why(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([Job(id="1", queue="q", task="t", metadata={"a": 1})])
        for field, value in [("options", "{not json"), ("progress", "?"), ("state", "dreaming"), ("failures", "many")]:
            server.command("HSET", "{trioq}:q:job:1", field, value)
        [job] = (await backend.get("q", ["1"])).jobs
        assert job is not None
        assert job.unreadable is not None
        for broken in ("options", "progress", "state", "failures"):
            assert f"broken {broken}" in job.unreadable
        assert job.state == "waiting", "where it lies is known"


async def test_a_record_that_was_evicted_is_passed_over(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([Job(id=id, queue="q", task="t", ttl=0.0) for id in "123"])
        server.command("DEL", "{trioq}:q:job:1")
        assert [job.id for job in (await backend.overdue(10)).jobs] == ["2", "3"]
        assert [job.id for job in (await backend.claim(["q"], 10, "w", 0.5, idle=False)).jobs] == ["2", "3"]
        server.command("DEL", "{trioq}:q:job:2")
        await trio.sleep(0.6)
        assert [job.id for job in (await backend.overdue(10)).jobs] == ["3"]


async def test_what_is_left_of_an_evicted_record_is_not_taken_for_the_next_one_of_its_id(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        first = [Job(id=id, queue="q", task="t", ttl=60.0, delay=delay) for id, delay in (("1", None), ("2", 0.05))]
        await backend.insert(first)
        server.command("DEL", "{trioq}:q:job:1", "{trioq}:q:job:2")
        again = (await backend.insert([Job(id=id, queue="q", task="t", delay=1_000.0) for id in "12"])).jobs
        await trio.sleep(0.1)
        assert list((await backend.claim(["q"], 10, "w", 15, idle=False)).jobs) == []
        page = await backend.find(Filter(queue="q", states=frozenset(State)))
        assert [(job.id, job.seq) for job in page.jobs] == [(job.id, job.seq) for job in again]


async def test_a_unique_key_is_free_once_its_jobs_record_was_evicted(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([Job(id="1", queue="q", task="t", unique_key="k")])
        server.command("DEL", "{trioq}:q:job:1")
        reply = await backend.insert([Job(id="2", queue="q", task="t", unique_key="k")])
        assert list(reply.created) == [True]
        assert [job.id for job in (await backend.claim(["q"], 10, "w", 15, idle=False)).jobs] == ["2"]


async def test_prune_does_not_drop_a_job_for_an_evicted_one_of_its_id(server: Server) -> None:
    everything = Retention(keep_completed=0, keep_completed_max=0, keep_dead=0, keep_dead_max=0)
    async with RedisBackend(server.url) as backend:
        [job] = (await backend.insert([Job(id="1", queue="q", task="t")])).jobs
        await backend.settle([step(job, Cancel(), job.run_at)])
        server.command("DEL", "{trioq}:q:job:1")
        await backend.insert([Job(id="1", queue="q", task="t")])
        await backend.prune(["q"], everything)
        assert [job.id for job in (await backend.claim(["q"], 10, "w", 15, idle=False)).jobs] == ["1"]


async def test_a_lease_whose_record_was_evicted_is_not_asked_after_for_ever(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([Job(id=id, queue="q", task="t") for id in "12"])
        await backend.claim(["q"], 10, "w", 15, idle=False)
        server.command("DEL", "{trioq}:q:job:1")
        presence = Presence(worker="w", name="w", host="h", slots=1, lease=15)
        assert list((await backend.renew(presence, [])).unlisted) == [("q", "2")]


@pytest.mark.parametrize(
    ("breaks", "mends"),
    [
        (["ACL", "SETUSER", "default", "-zadd"], ["ACL", "SETUSER", "default", "+zadd"]),
        (["SET", "{trioq}:q:ready", "another's"], ["DEL", "{trioq}:q:ready"]),
        (["SET", "{trioq}:q:live", "another's"], ["DEL", "{trioq}:q:live"]),
        (["SET", "{trioq}:q:keys", "another's"], ["DEL", "{trioq}:q:keys"]),
    ],
)
async def test_an_insert_that_broke_off_half_way_can_be_repeated(
    server: Server, breaks: list[str], mends: list[str]
) -> None:
    jobs = [Job(id=id, queue="q", task="t", unique_key=f"k{id}") for id in "12"]
    async with RedisBackend(server.url) as backend:
        server.command(*breaks)
        with pytest.raises(TrioqError, match=r"may not do that|another program has keys"):
            await backend.insert(jobs)
        server.command(*mends)
        assert list((await backend.insert(jobs)).created) == [True, True]
        claimed = (await backend.claim(["q"], 10, "w", 15, idle=False)).jobs
        assert [job.id for job in claimed] == ["1", "2"]
        settled = await backend.settle([step(job, Complete(b"1"), job.run_at) for job in claimed])
        assert list(settled.verdicts) == ["stored", "stored"]


async def test_a_change_that_breaks_off_leaves_no_other_half_stored(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([Job(id=id, queue="q", task="t") for id in "123"])
        jobs = (await backend.claim(["q"], 10, "w", 15, idle=False)).jobs
        server.command("SET", "{trioq}:q:job:2", "another's")
        with pytest.raises(BackendError, match="another program has keys"):
            await backend.settle([step(job, Complete(b"1"), job.run_at) for job in jobs])
        everything = Retention(keep_completed=0, keep_completed_max=0, keep_dead=0, keep_dead_max=0)
        assert await backend.prune(["q"], everything) == 2, "the first and the third are on their shelf"


async def test_prune_forgets_workers_that_have_not_renewed_for_a_day() -> None:
    now, server = 1_000.0, shared("valkey")
    async with RedisBackend(server.url, "forgets", clock=lambda: now) as backend:
        keep = Retention(keep_completed=0, keep_completed_max=0, keep_dead=0, keep_dead_max=0)
        await backend.renew(Presence(worker="old", name="old", host="here", slots=1, lease=15), [])
        now += 86_000
        await backend.prune(["q"], keep)
        assert b"old" in server.command("HKEYS", "{forgets}:presence")
        now += 500
        await backend.prune(["q"], keep)
        assert b"old" not in server.command("HKEYS", "{forgets}:presence")


async def test_times_are_the_servers(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        told = server.command("TIME").split(b"\r\n")
        [job] = (await backend.insert([Job(id="1", queue="q", task="t")])).jobs
        assert 0 <= job.created_at - (int(told[2]) + int(told[4]) / 1e6) < 3


async def test_a_job_that_moves_twice_in_one_batch_lies_where_it_came_to_last(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        [job] = (await backend.insert([Job(id="1", queue="q", task="t")])).jobs
        cancel = step(job, Cancel(), job.run_at)
        requeue = step(job.after(cancel), Requeue(), job.run_at)
        again = step(job.after(cancel).after(requeue), Cancel(), job.run_at)
        assert list((await backend.settle([cancel, requeue])).verdicts) == ["stored", "stored"]
        everything = Retention(keep_completed=0, keep_completed_max=0, keep_dead=0, keep_dead_max=0)
        assert await backend.prune(["q"], everything) == 0
        assert list((await backend.settle([again])).verdicts) == ["stored"]
        assert await backend.prune(["q"], everything) == 1


async def test_jobs_are_handed_out_in_the_order_in_which_they_came_due_to_the_millisecond() -> None:
    now = 1_800_000_000.0
    async with RedisBackend(shared("valkey").url, "order", clock=lambda: now) as backend:
        delays = {"third": 0.003, "first": 0.001, "second": 0.002}
        await backend.insert([Job(id=id, queue="q", task="t", delay=delay) for id, delay in delays.items()])
        now += 1
        await backend.insert([Job(id="last", queue="q", task="t")])
        claimed = await backend.claim(["q"], 10, "w", 15, idle=False)
        assert [job.id for job in claimed.jobs] == ["first", "second", "third", "last"]


async def test_the_earliest_of_several_queues_is_the_next_to_come_due() -> None:
    now = 1_800_000_000.0
    async with RedisBackend(shared("valkey").url, "due", clock=lambda: now) as backend:
        delays = {"a": 20.0, "b": 10.0, "c": 30.0}
        await backend.insert([Job(id="1", queue=queue, task="t", delay=delay) for queue, delay in delays.items()])
        assert (await backend.claim(["a", "b", "c", "d"], 10, "w", 15, idle=False)).next_due == now + 10
