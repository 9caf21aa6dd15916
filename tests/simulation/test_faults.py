"""Faults come true as they are planned, and all kinds of them are drawn."""

from __future__ import annotations

from math import inf
from typing import get_args

import attrs
import pytest

import trioq
from trioq._core.events import WorkerStarted
from trioq.testing.simulation.draw import draw_plan
from trioq.testing.simulation.history import Entry, Healed, History, Hurt, Told
from trioq.testing.simulation.plan import (
    Clock,
    Crash,
    Fault,
    Freeze,
    JobSpec,
    Operation,
    Plan,
    SlowCall,
    SlowVerb,
    Verb,
    WorkerSpec,
)
from trioq.testing.simulation.world import simulate

WORLD = Plan(
    seed=1,
    worker_specs=(WorkerSpec(name="w1", queues=("a",), lease=3.0),),
    job_specs=tuple(JobSpec(id=f"j{number}", queue="a") for number in range(20)),
    operations=tuple(Operation(float(number), "c1", Verb.ENQUEUE, (f"j{number}",)) for number in range(20)),
    horizon=20.0,
)


def with_faults(*faults: Fault, heals: bool = False) -> History:
    return simulate(attrs.evolve(WORLD, faults=faults, heals=heals), trioq.InMemoryBackend)


def seconds(history: History, entry: Entry) -> float:
    return entry.at - history.began


# --- slow calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["there", "back"])
@pytest.mark.parametrize("verb", ["claim", "settle", "renew"])
def test_a_slow_verb_slows_the_calls_of_one_kind_while_it_lasts(verb: str, way: str):
    history = with_faults(SlowVerb(process="w1", at=5.0, seconds=10.0, verb=verb, **{way: 0.5}))
    hurt = history.all(Hurt)
    assert len(hurt) > 3
    assert {each.verb for each in hurt} == {verb}
    assert all(0.5 <= each.seconds < 0.75 and not each.unknown for each in hurt)
    assert all(5.5 <= seconds(history, each) < 16 for each in hurt)


def test_a_slow_verb_may_let_no_answer_through():
    history = with_faults(SlowVerb(process="w1", at=5.0, seconds=10.0, verb="settle", back=inf))
    assert {(each.verb, each.seconds, each.unknown) for each in history.all(Hurt)} == {("settle", 1.0, True)}


def test_a_slow_verb_ends_at_the_latest_when_all_is_healed():
    history = with_faults(SlowVerb(process="w1", at=5.0, seconds=500.0, verb="claim", there=0.5), heals=True)
    [healed] = history.all(Healed)
    assert max(each.at for each in history.all(Hurt)) < healed.at


def test_a_slow_call_counts_before_a_slow_verb():
    slow_call = SlowCall(process="w1", call=1, back=0.75)
    history = with_faults(slow_call, SlowVerb(process="w1", at=0.0, seconds=30.0, verb="claim", back=0.5))
    assert sum(each.seconds >= 0.75 for each in history.all(Hurt)) == 1


# --- clocks -------------------------------------------------------------------------------------


def test_a_clock_that_was_set_is_wrong_for_those_who_take_over_too():
    history = with_faults(Clock(process="w1", at=5.0, by=3600.0), Crash(process="w1", at=10.0))
    starts = [each for each in history.all(Told) if isinstance(each.event, WorkerStarted)]
    assert [each.event.at - each.at for each in starts] == [0.0, 3600.0]  # dated before they have asked the store


# --- what is drawn ------------------------------------------------------------------------------


def test_faults_of_every_kind_are_drawn():
    drawn = {type(fault) for seed in range(60) for fault in draw_plan(seed).faults}
    assert drawn == set(get_args(Fault))


def test_some_worlds_have_no_faults():
    assert 0 < sum(not draw_plan(seed).faults for seed in range(60)) < 30


def test_some_workers_wake_up_while_those_who_take_them_for_dead_are_slow_to_say_so():
    def about(plan: Plan) -> bool:
        naps = [fault for fault in plan.faults if isinstance(fault, Freeze)]
        return any(
            isinstance(slow_verb, SlowVerb) and any(slow_verb.at == nap.at for nap in naps) for slow_verb in plan.faults
        )

    assert any(about(draw_plan(seed)) for seed in range(60))
