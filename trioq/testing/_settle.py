"""Checks of ``settle``: compare and swap, of one step and of several that belong together."""

from __future__ import annotations

import attrs

from ..abc import Backend, Lease, Verdict
from ..lifecycle import (
    Cancel,
    Change,
    Command,
    Complete,
    Expire,
    Fail,
    Job,
    Reclaim,
    Reject,
    Release,
    Requeue,
    Snooze,
    State,
    stamp,
    step,
)
from ._given import (
    ADA,
    LONG,
    OTHER,
    QUEUE,
    SHORT,
    Make,
    a_job,
    all_ids,
    all_jobs,
    assert_same,
    claimed_ids,
    held,
    lose,
    move,
    presence,
    settle,
    some_jobs,
    store_time,
    stored,
    wait_until,
)

STORED, STALE, KEY_TAKEN = Verdict.STORED, Verdict.STALE, Verdict.KEY_TAKEN


async def _verdicts(backend: Backend, *changes: Change) -> list[Verdict]:
    return list((await backend.settle(changes)).verdicts)


async def check_settle_stores_what_the_pure_step_says(make: Make) -> None:
    """Whatever the command, settle stores the record that the pure step makes; nothing else of it changes."""
    commands: list[Command] = [
        Complete(b"1"),
        Complete(None),
        Fail("ValueError: no", 5.0),
        Reject("ValueError: never"),
        Snooze(5.0),
        Release(),
        Expire(),
        Cancel("unsubscribed"),
    ]
    async with make() as backend:
        jobs = await held(backend, *some_jobs(len(commands), ttl=0.0, metadata={"a": 1}, unique_key=None))
        now = await store_time(backend)
        changes = [step(job, command, now) for job, command in zip(jobs, commands, strict=True)]
        assert await _verdicts(backend, *changes) == [STORED] * len(changes)
        after = [job.after(change) for job, change in zip(jobs, changes, strict=True)]
        assert_same([await stored(backend, job) for job in jobs], after, "settle stores the pure step")
        ended = [job for job in after if job.state.final]
        again = [await move(backend, job, Requeue()) for job in ended]
        assert_same([await stored(backend, job) for job in again], again, "a requeue is stored like any other step")


async def check_settle_compares_and_swaps(make: Make) -> None:
    """A change made from an older version is stale and changes nothing: the first to write wins."""
    async with make() as backend:
        [job] = await held(backend, a_job())
        now = await store_time(backend)
        assert await settle(backend, job, Complete(b'"first"'), now) is STORED
        done = await stored(backend, job)
        for command in (Complete(b'"second"'), Fail("no", 1.0), Cancel("no"), Release()):
            assert await settle(backend, job, command, now) is STALE, f"{command} came after the job had moved on"
        await move(backend, done, Requeue())
        assert await settle(backend, job, Complete(b'"first"'), now) is STALE, "a run that is over stays over"
        [later] = (await backend.claim([QUEUE], 1, ADA, LONG, idle=False)).jobs
        assert await settle(backend, job, Complete(b'"late"'), now) is STALE, "the same worker's later run is another"
        assert_same([await stored(backend, job)], [later], "a loser changes nothing")


async def check_settle_knows_a_job_by_its_seq(make: Make) -> None:
    """A change of a job that is gone is stale, also when another job has its id and its version by now."""
    async with make() as backend:
        [old] = (await backend.insert([a_job()])).jobs
        await backend.remove(QUEUE, ["1"])
        assert await settle(backend, old, Cancel()) is STALE, "the job is gone"
        [new] = (await backend.insert([a_job()])).jobs
        assert await settle(backend, old, Cancel()) is STALE, "another job has its id"
        assert_same([await stored(backend, new)], [new], "the other job is left alone")


async def check_a_change_that_is_stored_already_answers_stored(make: Make) -> None:
    """Every write can be repeated: the same change again answers stored, and changes nothing."""
    async with make() as backend:
        [one, two] = await held(backend, a_job("1", max_retries=0), a_job("2"))
        now = await store_time(backend)
        changes = [step(one, Fail("no", 1.0), now), step(two, Snooze(0.25), now)]
        assert await _verdicts(backend, *changes, *changes) == [STORED] * 4, "a repeat in one batch"
        before = await all_jobs(backend)
        assert await _verdicts(backend, *changes) == [STORED] * 2, "a repeat in another batch"
        assert_same(await all_jobs(backend), before, "a repeat changes nothing")


async def check_a_repeat_answers_stored_though_its_job_came_due(make: Make) -> None:
    """A change that put a job off is still stored once the job is ready: time alone makes no write stale."""
    async with make() as backend:
        [job] = await held(backend, a_job())
        change = step(job, Snooze(SHORT), await store_time(backend))
        assert await _verdicts(backend, change) == [STORED]
        await wait_until(backend, job.after(change).run_at)
        assert await claimed_ids(backend, limit=0) == [], "a look at what is due takes nothing"
        assert await _verdicts(backend, change) == [STORED], "no other write has touched the job since"


async def check_each_change_of_a_batch_stands_alone(make: Make) -> None:
    """The verdicts stand in the order of the changes, over any queues; a stale one hinders no other."""
    async with make() as backend:
        jobs = await held(backend, a_job("1"), a_job("2"), a_job("1", queue=OTHER), a_job("3"), queues=[QUEUE, OTHER])
        now = await store_time(backend)
        await move(backend, jobs[1], Complete(), now)
        changes = [step(job, Release(), now) for job in jobs]
        assert await _verdicts(backend, *changes) == [STORED, STALE, STORED, STORED], "each has its own verdict"
        states = [(await stored(backend, job)).state for job in jobs]
        assert states == [State.WAITING, State.COMPLETED, State.WAITING, State.WAITING], "and its own effect"


async def check_changes_of_one_job_follow_each_other(make: Make) -> None:
    """Each change of a batch is judged by what those before it have left, several of one job as well."""
    async with make() as backend:
        [job] = await held(backend, a_job())
        first = await lose(backend, job)
        now = await store_time(backend)
        reclaim = step(first, Reclaim(), now)
        assert await _verdicts(backend, reclaim) == [STORED]
        second = first.after(reclaim)
        cancel = step(second, Cancel("no"), now)
        batch = (step(first, Complete(b"1"), now), reclaim, cancel, cancel, reclaim, step(second, Cancel("late"), now))
        assert await _verdicts(backend, *batch) == [STALE, STORED, STORED, STORED, STALE, STALE]
        assert_same([await stored(backend, first)], [second.after(cancel)], "the first that could be stored won")


async def check_a_requeue_loses_its_key_to_a_live_job(make: Make) -> None:
    """A requeue whose unique key another live job holds answers key taken, and changes nothing."""
    async with make() as backend:
        [first] = (await backend.insert([a_job("1", unique_key="k")])).jobs
        ended = await move(backend, first, Cancel())
        [second] = (await backend.insert([a_job("2", unique_key="k")])).jobs
        assert await settle(backend, ended, Requeue()) is KEY_TAKEN, "another live job has the key"
        assert_same(await all_jobs(backend), [ended, second], "the loser changes nothing")
        await move(backend, second, Cancel())
        assert await settle(backend, ended, Requeue()) is STORED, "the key is free again"


async def check_a_reclaim_loses_to_a_renewal(make: Make) -> None:
    """A Reclaim is stored only if the lease is still the one that was read: a renewal in between saves the job.

    The same holds where the Reclaim would end the job.
    """
    for last_life in (False, True):
        await _reclaim_beside_a_renewal(make, a_job(max_crashes=1) if last_life else a_job(), last_life)


async def _reclaim_beside_a_renewal(make: Make, new: Job, last_life: bool) -> None:
    async with make() as backend:
        [job] = await held(backend, new, idle=last_life)
        read = await lose(backend, job)
        reclaim = step(read, Reclaim(), await store_time(backend))
        await backend.renew(presence(lease=LONG), [Lease(job.queue, job.id, job.run)])
        renewed = await stored(backend, job)
        assert await _verdicts(backend, reclaim) == [STALE], "the lease was renewed in between"
        assert_same([await stored(backend, job)], [renewed], "the renewed job is left alone")
        late = await lose(backend, job)
        again = await move(backend, late, Reclaim())
        assert_same([await stored(backend, job)], [again], "a lease that was not renewed is reclaimed")


async def check_progress_can_be_noted_with_a_step(make: Make) -> None:
    """A change stores the last progress beside its step, and the next run still has it."""
    async with make() as backend:
        [job] = await held(backend, a_job())
        change = step(job, Fail("no", 0.0), await store_time(backend)).noting(progress={"done": 0.5})
        assert await _verdicts(backend, change) == [STORED]
        assert (await stored(backend, job)).progress == {"done": 0.5}, "progress is stored with the step"


async def _couple(backend: Backend) -> tuple[Change, Job]:
    """Make a change that has a step of another queue's job and a new job beside its own; answers the other job, too."""
    [parent, child] = await held(backend, a_job("p"), a_job("c", queue=OTHER), queues=[QUEUE, OTHER])
    now = await store_time(backend)
    change = attrs.evolve(
        step(parent, Complete(b"1"), now),
        also=(step(child, Cancel("with its parent"), now),),
        inserts=(a_job("next", delay=LONG),),
    )
    return change, child


async def check_a_composite_change_is_stored_whole(make: Make) -> None:
    """A change with other steps and new jobs stores all of them, in any queues, and once only."""
    async with make() as backend:
        change, _ = await _couple(backend)
        for _ in range(2):  # the second time is a repeat
            reply = await backend.settle([change])
            assert list(reply.verdicts) == [STORED], "stored, or stored already"
            parent, new = await all_jobs(backend)
            [child] = await all_jobs(backend, OTHER)
            assert (parent.state, child.state) == (State.COMPLETED, State.CANCELLED), "every step is stored"
            assert_same([new], [stamp(change.inserts[0], new.seq, new.created_at)], "new jobs are stamped")


async def check_a_composite_change_is_stored_whole_or_not_at_all(make: Make) -> None:
    """If a new job's id or key is taken, or a part was stored by itself before, nothing of the change is stored."""
    async with make() as backend:
        change, child = await _couple(backend)
        before = await all_jobs(backend)
        await backend.insert([a_job("live", queue="third", unique_key="k")])
        taken = a_job("new", queue="third", unique_key="k")
        twice = (a_job("twice"), a_job("twice"))
        one_key = (a_job("k1", unique_key="n"), a_job("k2", unique_key="n"))
        for inserts, verdict in [
            ((a_job("before"), a_job("c", queue=OTHER)), STALE),
            ((a_job("before"), taken), KEY_TAKEN),
            (twice, STALE),
            (one_key, KEY_TAKEN),
        ]:
            assert await _verdicts(backend, attrs.evolve(change, inserts=inserts)) == [verdict], "a new job is refused"
            assert_same(await all_jobs(backend), before, f"nothing of it is stored when a new job is {verdict}")
            assert_same(await all_jobs(backend, OTHER), [child], f"nor elsewhere when a new job is {verdict}")
        alone = attrs.evolve(change, also=(), inserts=())
        assert await _verdicts(backend, alone) == [STORED], "the first step can be stored by itself"
        half = await all_jobs(backend)
        assert await _verdicts(backend, change) == [STALE], "what is stored in part is not stored already"
        assert_same(await all_jobs(backend), half, "nor is the rest of it stored then")
        assert_same(await all_jobs(backend, OTHER), [child], "nor elsewhere when a part was stored before")


async def check_a_composite_change_is_stale_with_one_stale_step(make: Make) -> None:
    """If one step of a change is stale, nothing of the change is stored."""
    async with make() as backend:
        change, child = await _couple(backend)
        before = await all_jobs(backend)
        moved = await move(backend, child, Release())
        assert await _verdicts(backend, change) == [STALE], "a step that belongs to it is stale"
        assert_same(await all_jobs(backend), before, "nothing of it is stored when a step is stale")
        assert_same(await all_jobs(backend, OTHER), [moved], "nor elsewhere when a step is stale")


async def check_the_parts_of_a_composite_change_follow_each_other(make: Make) -> None:
    """Each part sees what those before it did: an ending job hands its unique key to the next one."""
    async with make() as backend:
        [job] = await held(backend, a_job("1", unique_key="k"))
        now = await store_time(backend)
        done = step(job, Complete(), now)
        change = attrs.evolve(done, inserts=(a_job("2", unique_key="k"),))
        assert await _verdicts(backend, change) == [STORED], "the key is free once the first part is done"
        assert list((await backend.insert([a_job("3", unique_key="k")])).created) == [False], "the new job has the key"
        [second] = (await backend.claim([QUEUE], 1, ADA, LONG, idle=False)).jobs
        ended = second.after(step(second, Cancel(), now))
        twice = attrs.evolve(step(second, Cancel(), now), also=(step(ended, Requeue(), now),))
        assert await _verdicts(backend, twice) == [STORED], "two steps of one job"
        assert await all_ids(backend, states=[State.WAITING]) == ["2"], "two steps of one job"
        assert await claimed_ids(backend) == ["2"], "and it goes on from there"
