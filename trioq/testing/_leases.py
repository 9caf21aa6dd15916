"""Checks of ``renew``, ``overdue`` and ``workers``: which worker still has a lease, and which has lost it."""

from __future__ import annotations

from ..abc import Lease, Loss
from ..lifecycle import Cancel, Complete, Job, Reclaim, Release, Requeue
from ._given import (
    ADA,
    BOB,
    LONG,
    OTHER,
    QUEUE,
    SHORT,
    Make,
    a_job,
    assert_same,
    claim,
    held,
    lose,
    move,
    presence,
    some_jobs,
    store_time,
    stored,
    wait_until,
)


def _lease(job: Job, progress: object = None) -> Lease:
    return Lease(job.queue, job.id, job.run, progress)


async def check_renew_extends_a_lease_and_leaves_the_version(make: Make) -> None:
    """A renewal moves ``lease_until`` to now plus the lease, in any queue, and changes nothing else."""
    async with make() as backend:
        listed, others = [a_job("1"), a_job("2", queue=OTHER)], [a_job("3"), a_job("2"), a_job("1", queue=OTHER)]
        await held(backend, *listed, *others, queues=[QUEUE, OTHER])
        jobs = [await stored(backend, job) for job in [*listed, *others]]
        reply = await backend.renew(presence(lease=LONG * 2), [_lease(job) for job in jobs[:2]])
        assert reply.lost == {}, "no other worker took them"
        renewed = [job.having({"lease_until": reply.now + LONG * 2}) for job in jobs[:2]]
        found = [await stored(backend, job) for job in jobs]
        assert_same(found, [*renewed, *jobs[2:]], "the listed leases are extended, and nothing else")
        await move(backend, jobs[0], Complete())  # as it was claimed: a renewal makes no version stale


async def check_renew_saves_progress(make: Make) -> None:
    """Progress is saved with the renewal as the JSON value that it is; None leaves the last one."""
    async with make() as backend:
        [job] = await held(backend, a_job())
        for progress, kept in [([0.5, {"note": "ü"}], [0.5, {"note": "ü"}]), (None, [0.5, {"note": "ü"}]), (0, 0)]:
            await backend.renew(presence(), [_lease(job, progress)])
            assert (await stored(backend, job)).progress == kept, f"progress {progress!r} leaves {kept!r}"


async def check_renew_extends_a_lease_past_its_deadline(make: Make) -> None:
    """A lease that ran out is still its holder's, until another worker takes it."""
    async with make() as backend:
        [job] = await held(backend, a_job())
        await lose(backend, job)
        reply = await backend.renew(presence(lease=LONG), [_lease(job)])
        assert reply.lost == {}, "no other worker took it"
        assert (await stored(backend, job)).lease_until == reply.now + LONG, "it is extended"
        assert list((await backend.overdue(10)).jobs) == [], "it is not overdue any more"


async def check_renew_says_why_a_lease_is_lost(make: Make) -> None:
    """A renewal says of each lost lease whether its job was reclaimed, cancelled, or is gone, and renews the others."""
    async with make() as backend:
        kept, cancelled, removed, reclaimed, again = await held(backend, *some_jobs(5))
        await move(backend, cancelled, Cancel())
        await move(backend, removed, Cancel())
        await backend.remove(QUEUE, [removed.id])
        for job in (reclaimed, again):
            await move(backend, await lose(backend, job), Reclaim())
        [taken] = (await claim(backend, limit=1, worker=BOB)).jobs
        assert taken.id == reclaimed.id
        reply = await backend.renew(
            presence(lease=LONG), [_lease(job) for job in (kept, cancelled, removed, reclaimed, again)]
        )
        assert reply.lost == {
            _lease(cancelled): Loss.CANCELLED,
            _lease(removed): Loss.GONE,
            _lease(reclaimed): Loss.RECLAIMED,
            _lease(again): Loss.RECLAIMED,
        }, f"the losses were {reply.lost}"
        assert (await stored(backend, kept)).lease_until == reply.now + LONG, "the others are renewed"


async def check_a_stale_renewal_revives_nothing(make: Make) -> None:
    """A renewal for a run that is over extends no lease, saves no progress, and changes no record."""
    async with make() as backend:
        released, ended, retaken = await held(backend, *some_jobs(3))
        await move(backend, retaken, Release())
        [current] = (await claim(backend, worker=BOB)).jobs
        assert current.id == retaken.id
        await move(backend, released, Release())
        await move(backend, await move(backend, ended, Cancel()), Requeue())
        befores = [await stored(backend, job) for job in (released, ended, retaken)]
        reply = await backend.renew(
            presence(lease=LONG * 2), [_lease(job, "late") for job in (released, ended, retaken)]
        )
        assert set(reply.lost.values()) == {Loss.RECLAIMED}, "all three runs are over"
        assert_same([await stored(backend, job) for job in befores], befores, "nothing changes")


async def check_renew_names_the_leases_that_were_not_listed(make: Make) -> None:
    """The reply names the jobs that this worker holds and the renewal did not list, and nothing else."""
    async with make() as backend:
        jobs = await held(backend, *some_jobs(4), a_job("2", queue=OTHER), queues=[QUEUE, OTHER])
        await backend.insert([a_job("theirs")])
        await claim(backend, worker=BOB)
        await move(backend, jobs[0], Complete())
        reply = await backend.renew(presence(), [_lease(jobs[1])])
        assert sorted(reply.unlisted) == sorted([(QUEUE, "2"), (QUEUE, "3"), (OTHER, "2")]), reply.unlisted
        assert sorted((await backend.renew(presence(BOB), [])).unlisted) == [(QUEUE, "theirs")]


async def check_workers_lists_who_has_renewed(make: Make) -> None:
    """A worker is listed, with what it last said of itself, until its lease is over."""
    async with make() as backend:
        assert await backend.workers() == [], "no worker has renewed"
        await backend.renew(presence(ADA), [])
        await backend.renew(presence(BOB), [])
        here = sorted(await backend.workers(), key=lambda seen: seen.worker)
        assert here == [presence(ADA), presence(BOB)], f"the workers are {here}"
        await backend.renew(presence(ADA, lease=SHORT), [])
        await backend.renew(presence(BOB, leaving=True), [])
        await wait_until(backend, await store_time(backend) + SHORT * 1.5)
        here = list(await backend.workers())
        assert here == [presence(BOB, leaving=True)], f"the workers are {here}, long after ada has gone"


async def check_overdue_names_what_ran_out(make: Make) -> None:
    """``overdue`` names active jobs past their lease and unclaimed ones past their TTL, of all queues, also paused."""
    async with make() as backend:
        [lost, running, _] = await held(backend, a_job("lost"), a_job("running", ttl=0.0), a_job("kept"))
        [done] = await held(backend, a_job("done", ttl=0.0), worker=BOB)
        await move(backend, done, Complete())
        await backend.insert(
            [
                a_job("ready", ttl=0.0),
                a_job("timed", ttl=SHORT / 2, delay=LONG, queue=OTHER),
                a_job("lives on", ttl=LONG),
                a_job("needs no ttl"),
            ]
        )
        await backend.pause(QUEUE)
        await lose(backend, lost)
        for _ in range(2):  # they are named until they are settled
            jobs = (await backend.overdue(10)).jobs
            assert sorted(job.id for job in jobs) == ["lost", "ready", "timed"], [job.id for job in jobs]
            assert_same(jobs, [await stored(backend, job) for job in jobs], "overdue answers the records as they are")
        assert len((await backend.overdue(2)).jobs) == 2, "no more than were asked for"
        assert list((await backend.overdue(0)).jobs) == [], "none were asked for"
        await move(backend, running, Release())
        assert "running" in {job.id for job in (await backend.overdue(10)).jobs}, "it waits again, past its TTL"
