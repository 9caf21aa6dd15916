"""Redis forgets: its scripts, its keys, its last moments.  Nothing of before fits what comes after."""

from __future__ import annotations

from tests.servers import Server, until_it_answers
from trioq.abc import Lease, Loss, Presence
from trioq.backends.redis import RedisBackend
from trioq.lifecycle import Complete, Job, Release, step


def a_job(id: str = "1", **fields: object) -> Job:
    return Job(**{"id": id, "queue": "q", "task": "t", **fields})


async def test_scripts_that_the_server_has_forgotten_are_sent_again(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([a_job("1")])
        server.command("SCRIPT", "FLUSH")
        await backend.insert([a_job("2")])
        assert [job.id for job in (await backend.claim(["q"], 9, "w", 15, idle=False)).jobs] == ["1", "2"]


async def test_a_flushed_store_is_an_empty_one_and_nothing_of_before_fits_what_comes_after(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([a_job("1")])
        [old] = (await backend.claim(["q"], 9, "w", 15, idle=False)).jobs
        server.command("FLUSHALL")
        await backend.insert([a_job("1")])
        [new] = (await backend.claim(["q"], 9, "w", 15, idle=False)).jobs
        assert new.seq > old.seq, "not even FLUSHALL brings a seq back"
        late = await backend.settle([step(old, Complete(b"1"), new.started_at or 0.0)])
        assert list(late.verdicts) == ["stale"]
        assert list((await backend.settle([step(new, Complete(b"1"), new.started_at or 0.0)])).verdicts) == ["stored"]


async def test_after_a_restart_that_lost_the_tail_nothing_of_before_fits_what_comes_after(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([a_job("0")])
        server.command("SAVE")
        await backend.insert([a_job("1")])
        old = (await backend.claim(["q"], 9, "old", 15, idle=False)).jobs[1]
        server.kill()
        server.start()
        await until_it_answers(backend)
        await backend.insert([a_job("1")])
        new = (await backend.claim(["q"], 9, "new", 15, idle=False)).jobs[1]
        assert (new.id, new.run) == (old.id, old.run)
        assert new.seq > old.seq, "not even a lost one comes back"
        late = await backend.settle([step(old, Complete(b"1"), new.started_at or 0.0)])
        assert list(late.verdicts) == ["stale"]
        lease = Lease(queue="q", id="1", run=old.run)
        for worker, lost in (("old", {lease: Loss.RECLAIMED}), ("new", {})):
            presence = Presence(worker=worker, name="w", host="h", slots=1, lease=15)
            assert (await backend.renew(presence, [lease])).lost == lost


async def test_a_worker_that_has_claimed_a_job_again_renews_its_last_run_and_none_before(server: Server) -> None:
    async with RedisBackend(server.url) as backend:
        await backend.insert([a_job()])
        [first] = (await backend.claim(["q"], 9, "w", 15, idle=False)).jobs
        await backend.settle([step(first, Release(), first.run_at)])
        [second] = (await backend.claim(["q"], 9, "w", 15, idle=False)).jobs
        leases = [Lease(queue="q", id="1", run=job.run) for job in (first, second)]
        presence = Presence(worker="w", name="w", host="h", slots=1, lease=15)
        assert (await backend.renew(presence, leases)).lost == {leases[0]: Loss.RECLAIMED}
