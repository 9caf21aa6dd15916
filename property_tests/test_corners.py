"""Corners that drawn worlds seldom reach: each a small world written by hand, and judged by the rules of all histories.

What the rules must leave open, for faults excuse much, is asked here of the one job that the world is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

import attrs
import pytest
from hypothesis import settings

from property_tests.backends import Make
from property_tests.by_hand import lived
from trioq._core.events import JobEvent
from trioq.testing.simulation.history import Began, Claimed, Ended, History, Inserted, Refused, Stopped, Struck, Told
from trioq.testing.simulation.plan import (
    TICK,
    Does,
    Fault,
    Freeze,
    JobSpec,
    Leave,
    Operation,
    Plan,
    RunSpec,
    SlowCall,
    SlowVerb,
    Verb,
    WorkerSpec,
)

pytestmark = pytest.mark.one_backend

#: Profile dev tries every eighth.
_STRIDE: Final = 1 if settings().max_examples >= 120 else 8

#: Calls of a worker, from its first one on: each is slow in a world of its own.
_CALLS: Final = range(1, 25, _STRIDE)

#: Moments at which a worker is told to stop, in ticks.
_MOMENTS: Final = range(0, 64, _STRIDE)


def _world(
    *job_specs: JobSpec,
    worker_specs: tuple[WorkerSpec, ...],
    operations: tuple[Operation, ...] = (),
    faults: tuple[Fault, ...] = (),
) -> Plan:
    """Jobs that no act is about are enqueued after half a second, in one batch for each queue."""
    named = {id for operation in operations if operation.verb is Verb.ENQUEUE for id in operation.targets}
    batches = {spec.queue: tuple(each.id for each in job_specs if each.queue == spec.queue) for spec in job_specs}
    enqueues = tuple(
        Operation(0.5, "c1", Verb.ENQUEUE, tuple(id for id in ids if id not in named)) for ids in batches.values()
    )
    return Plan(
        seed=1,
        worker_specs=worker_specs,
        job_specs=job_specs,
        operations=(*enqueues, *operations),
        faults=faults,
        horizon=20.0,
    )


def _worker(name: str, *queues: str, concurrency: int = 2) -> WorkerSpec:
    return WorkerSpec(name=name, queues=queues or ("a",), concurrency=concurrency, lease=3.0)


#: Takes back what others hold too long, and does nothing else: it serves another queue.
_SWEEPER: Final = _worker("w2", "z")


def _each_call_slow(plan: Plan, make: Make, *, there: float = 0.0, back: float = 0.0) -> Iterator[History]:
    """The same world again and again: each time another call of the first worker takes long, and is answered."""
    for call in _CALLS:
        slow_call = SlowCall(process="w1", call=call, there=there, back=back)
        yield lived(attrs.evolve(plan, faults=(*plan.faults, slow_call)), make)


def _began(history: History, id: str) -> list[float]:
    return [entry.at for entry in history.all(Began) if entry.job.id == id]


# --- leases -------------------------------------------------------------------------------------


def test_a_worker_that_drains_keeps_what_it_runs(make: Make) -> None:
    """While a worker drains, its jobs stay its own, for as long as their handlers take."""
    job = JobSpec(id="j1", queue="a", runs=(RunSpec(Does.RETURN, 10.0),))
    leave = Leave(process="w1", at=1.0, grace=15.0, restart=1.0)
    history = lived(_world(job, worker_specs=(_worker("w1"), _SWEEPER), faults=(leave,)), make)
    assert (history.records["j1"].crashes, history.records["j1"].run) == (0, 1)


def test_a_worker_that_stops_stores_how_every_run_ended(make: Make) -> None:
    """A worker that stops stores how each of its runs ended, also where the write before took long."""
    jobs = [JobSpec(id=f"j{number}", queue="a", runs=(RunSpec(Does.RETURN, number / 4),)) for number in (1, 2, 3)]
    leave = Leave(process="w1", at=0.75, grace=5.0, restart=1.0)
    plan = _world(*jobs, worker_specs=(_worker("w1", concurrency=3),), faults=(leave,))
    for history in _each_call_slow(plan, make, back=0.9):
        assert [len(_began(history, job.id)) for job in jobs] == [1, 1, 1]


def test_a_worker_with_nothing_to_do_stops_at_once(make: Make) -> None:
    """A worker that is told to stop, and holds nothing, has stopped a moment later."""
    job = JobSpec(id="j1", queue="a")
    leave = Leave(process="w1", at=5.0, grace=5.0, restart=1.0)
    history = lived(_world(job, worker_specs=(_worker("w1"),), faults=(leave,)), make)
    [draining] = [entry.at for entry in history.all(Struck)]
    stopped = min(entry.at for entry in history.all(Stopped))
    assert stopped - draining < 0.5


def test_a_worker_that_is_told_to_stop_at_any_moment_gives_back_what_it_has_in_hand(make: Make) -> None:
    """A worker that is told to stop gives back its slots and tokens, also where a claim was just about to leave."""
    jobs = [JobSpec(id=f"j{number}", queue="a", runs=(RunSpec(Does.RETURN, 4 * TICK),)) for number in range(8)]
    spec = WorkerSpec(name="w1", queues=("a",), concurrency=1, rate_limit=3, rate_interval=0.25, lease=3.0)
    for moment in _MOMENTS:
        leave = Leave(process="w1", at=0.5 + moment * TICK, grace=5.0, restart=1.0)
        lived(attrs.evolve(_world(*jobs, worker_specs=(spec,), faults=(leave,)), seed=moment, horizon=3.0), make)


@pytest.mark.parametrize(("there", "back"), [(0.0, 0.9), (0.5, 0.4)])
def test_the_next_run_of_a_job_is_held_like_the_first(make: Make, there: float, back: float) -> None:
    """A job that its worker claims again at once, before it knows how the run before was settled or renewed, is
    renewed like any other.
    """
    job = JobSpec(id="j1", queue="a", runs=(RunSpec(Does.RAISE, 1.25), RunSpec(Does.RETURN, 8.0)), backoff=0.0)
    plan = _world(job, worker_specs=(_worker("w1"), _SWEEPER))
    for history in _each_call_slow(plan, make, there=there, back=back):
        assert history.records["j1"].run == 2
        assert history.records["j1"].state == "completed"


def test_to_tell_of_lost_jobs_takes_no_time_from_the_others(make: Make) -> None:
    """A worker that asks a slow store what became of the jobs that it has lost goes on renewing the others."""
    lost = tuple(JobSpec(id=f"j-{queue}", queue=queue, runs=(RunSpec(Does.RETURN, 12.0),)) for queue in "bcdefg")
    kept = JobSpec(id="j1", queue="a", runs=(RunSpec(Does.RETURN, 12.0),))
    cancels = Operation(2.0, "c1", Verb.CANCEL, tuple(spec.id for spec in lost))
    worker_specs = _worker("w1", *"abcdefg", concurrency=7), _SWEEPER
    slow_verb = SlowVerb(process="w1", at=1.0, seconds=12.0, verb="get", back=0.9)
    history = lived(_world(*lost, kept, worker_specs=worker_specs, operations=(cancels,), faults=(slow_verb,)), make)
    assert history.records["j1"].crashes == 0


def test_a_cancelled_job_is_told_as_cancelled_and_not_as_lost(make: Make) -> None:
    """A worker whose running job is cancelled by a client tells that it is cancelled, and nothing else."""
    job = JobSpec(id="j1", queue="a", runs=(RunSpec(Does.HANG),), timeout=10.0)
    cancel = Operation(2.0, "c1", Verb.CANCEL, ("j1",))
    history = lived(_world(job, worker_specs=(_worker("w1"),), operations=(cancel,)), make)
    told = [entry.event.name for entry in history.all(Told) if entry.by == "w1.1" and isinstance(entry.event, JobEvent)]
    assert told == ["job:started", "job:cancelled"]
    assert history.all(Refused) == []


def test_a_job_whose_lease_ran_out_on_its_way_to_a_slot_does_not_begin(make: Make) -> None:
    """No handler begins when the lease of its job has run out, whenever its process stood still for so long."""
    jobs = [JobSpec(id=f"j{number}", queue="a", runs=(RunSpec(Does.RETURN, TICK),)) for number in range(4)]
    plan = _world(*jobs, worker_specs=(_worker("w1"), _SWEEPER))
    for moment in range(16):
        freeze = Freeze(process="w1", at=0.5 + moment * TICK, seconds=4.0)
        history = lived(attrs.evolve(plan, seed=moment, faults=(freeze,)), make)
        assert all(entry.at < (entry.job.lease_until or 0.0) for entry in history.all(Began))


def test_a_worker_stops_a_run_that_it_has_lost_when_it_claims_the_job_again(make: Make) -> None:
    """A worker that claims a job again stops the earlier run, which it has lost without having noticed."""
    job = JobSpec(id="j1", queue="a", runs=(RunSpec(Does.HANG), RunSpec(Does.RETURN, 1.0)), timeout=9.0)
    slow_verb = SlowVerb(process="w1", at=1.0, seconds=12.0, verb="renew", there=inf)
    history = lived(_world(job, worker_specs=(_worker("w1"), _SWEEPER), faults=(slow_verb,)), make)
    [stopped] = [entry for entry in history.all(Ended) if entry.job.run == 1]
    assert stopped.how == "cancelled"
    assert stopped.at <= _began(history, "j1")[1] + TICK


def test_a_job_is_held_until_its_outcome_is_stored(make: Make) -> None:
    """A job whose handler has ended stays its worker's, however long it takes to store how it ended."""
    job = JobSpec(id="j1", queue="a", runs=(RunSpec(Does.RETURN, 1.0),))
    slow_verb = SlowVerb(process="w1", at=1.0, seconds=10.0, verb="settle", there=inf)
    history = lived(_world(job, worker_specs=(_worker("w1"), _SWEEPER), faults=(slow_verb,)), make)
    assert (history.records["j1"].crashes, history.records["j1"].run) == (0, 1)


# --- time ---------------------------------------------------------------------------------------


def test_a_slow_reply_sets_no_clock_back(make: Make) -> None:
    """A job that expires while the answer to its claim is on its way does not begin."""
    job = JobSpec(id="j1", queue="a", ttl=0.5)
    for history in _each_call_slow(_world(job, worker_specs=(_worker("w1"),)), make, back=0.9):
        assert all(begun < (history.records["j1"].expires_at or 0.0) for begun in _began(history, "j1"))


def test_what_becomes_ready_during_a_claim_is_claimed_next(make: Make) -> None:
    """A job that becomes ready while a claim is on its way is claimed as soon as that is answered."""
    job = JobSpec(id="j1", queue="a")
    for history in _each_call_slow(_world(job, worker_specs=(_worker("w1"),)), make, back=0.9):
        [inserted], [claimed] = history.all(Inserted), history.all(Claimed)
        assert claimed.at - inserted.at < 1.5


# --- whose turn it is ---------------------------------------------------------------------------


def test_each_queue_of_a_worker_has_its_turn(make: Make) -> None:
    """A worker serves its queues in turn: while all of them have jobs, as many begin of each."""
    job_specs = [
        JobSpec(id=f"{queue}{number}", queue=queue, runs=(RunSpec(Does.RETURN, 0.25),))
        for queue in "abc"
        for number in range(6)
    ]
    history = lived(_world(*job_specs, worker_specs=(_worker("w1", "a", "b", "c", concurrency=1),)), make)
    begun = [entry.job.queue for entry in history.all(Began)][:12]
    assert {queue: begun.count(queue) for queue in "abc"} == dict.fromkeys("abc", 4)


def test_a_job_on_its_last_life_is_not_kept_waiting_by_others(make: Make) -> None:
    """A job on its last life begins within two leases, however many others are ready all the time."""
    last_life = JobSpec(id="j0", queue="a", max_crashes=1, priority=1)
    others = [JobSpec(id=f"j{number}", queue="a", runs=(RunSpec(Does.RETURN, 0.75),)) for number in range(1, 50)]
    late = Operation(1.0, "c1", Verb.ENQUEUE, ("j0",))  # the worker is at work, and never idle again
    history = lived(_world(last_life, *others, worker_specs=(_worker("w1"),), operations=(late,)), make)
    [begun] = _began(history, "j0")
    assert begun - history.began < 8.0
    assert len([entry for entry in history.all(Ended) if entry.at > begun]) > 10, "others were ready all the time"
