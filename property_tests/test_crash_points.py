"""Crashes at every point of a job's life: in each call to the store, before and after its effect, and at each step.

Exhaustively, for a few short lives.  Worlds with many jobs, and all other faults, are in ``test_simulation``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import attrs
import pytest
from hypothesis import settings

from property_tests.backends import Make
from property_tests.by_hand import lived, told
from trioq.testing.simulation.history import Died
from trioq.testing.simulation.plan import Crash, Does, JobSpec, Leave, Operation, Plan, RunSpec, Verb, Where, WorkerSpec

pytestmark = pytest.mark.one_backend


def _life(
    *runs: RunSpec, operations: tuple[Operation, ...] = (), faults: tuple[Leave, ...] = (), **options: float
) -> Plan:
    """A world of one worker and one job, in which nothing crashes yet."""
    return Plan(
        seed=1,
        worker_specs=(WorkerSpec(name="w1", queues=("a",), lease=3.0),),
        job_specs=(JobSpec(id="j1", queue="a", runs=runs, backoff=0.25, **options),),
        operations=(Operation(0.5, "c1", Verb.ENQUEUE, ("j1",)), *operations),
        faults=faults,
        horizon=3.0,
    )


#: The ways in which a job may live, and how each may end: as it does undisturbed, in spite of a crash.
_LIVES = {
    "fails and is retried": (_life(RunSpec(Does.RAISE, 0.25), *[RunSpec(Does.RETURN, 0.5)] * 3), {"completed"}),
    "is put off": (_life(RunSpec(Does.SNOOZE, 0.25, delay=0.5), delay=0.25), {"completed"}),
    "times out": (_life(*[RunSpec(Does.HANG)] * 5, timeout=0.5, max_retries=1), {"failed"}),
    "is cancelled": (
        _life(RunSpec(Does.RETURN, 1.5), operations=(Operation(1.0, "c1", Verb.CANCEL, ("j1",)),)),
        {"cancelled"},
    ),
    "expires": (_life(delay=0.5, ttl=0.75, operations=(Operation(0.25, "c1", Verb.PAUSE, ("a",)),)), {"expired"}),
    "is cut short by a shutdown": (
        _life(RunSpec(Does.RETURN, 1.5), faults=(Leave(process="w1", at=1.0, grace=0.25, restart=0.25),)),
        {"completed"},
    ),
}

#: Profile dev tries every eighth of the calls, and every fortieth of the steps; ci each call, and every second step.
_CALLS, _STEPS = {30: (8, 40), 120: (1, 2)}.get(settings().max_examples, (1, 1))


@pytest.mark.parametrize("life", _LIVES.values(), ids=_LIVES)
@pytest.mark.parametrize("where", Where, ids=lambda where: where.name.lower())
def test_a_job_survives_a_crash_in_any_call(make: Make, where: Where, life: tuple[Plan, set[str]]) -> None:
    """A crash in any call to the store, before its effect or after it, costs one crash, and changes no job's end."""
    _survives_each(make, *life, (Crash(process="w1", call=number, where=where) for number in count(1, _CALLS)))


@pytest.mark.parametrize("life", _LIVES.values(), ids=_LIVES)
def test_a_job_survives_a_crash_at_any_step(make: Make, life: tuple[Plan, set[str]]) -> None:
    """A crash between any two steps of a worker's tasks costs one crash, and changes no job's end."""
    _survives_each(make, *life, (Crash(process="w1", step=number) for number in count(1, _STEPS)))


def _survives_each(make: Make, life: Plan, ends: set[str], crashes: Iterator[Crash]) -> None:
    """The job ends as it should, and no rule is broken, wherever the crash is."""
    for crash in crashes:
        history = lived(attrs.evolve(life, faults=(*life.faults, crash)), make)
        assert history.drained, told(history)
        [job] = history.records.values()
        assert str(job.state) in ends, told(history)
        assert job.crashes <= 1, told(history)
        if not history.all(Died):  # it came to an end before that
            assert (crash.call or crash.step or 0) > 10, "there are more points than that"
            return
