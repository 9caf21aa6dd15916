"""Shrinking: what is left of a plan is what it takes to fail."""

from __future__ import annotations

import attrs
import pytest

from trioq.testing.simulation.draw import draw_plan
from trioq.testing.simulation.plan import Crash, Partition, Plan, Verb
from trioq.testing.simulation.shrink import shrink


def drawn(wanted) -> Plan:
    """The first drawn plan of some size that is *wanted*."""
    plans = (draw_plan(seed) for seed in range(1000))
    return next(plan for plan in plans if len(plan.job_specs) > 5 and len(plan.worker_specs) > 1 and wanted(plan))


def crashes(plan: Plan) -> bool:
    return any(isinstance(fault, Crash) for fault in plan.faults)


def test_what_the_failure_does_not_need_goes():
    plan = shrink(drawn(crashes), crashes)
    assert [type(fault) for fault in plan.faults] == [Crash]
    assert len(plan.worker_specs) == len(plan.job_specs) == 1  # a world needs a worker, and something to do
    assert plan.operations == ()
    assert plan.horizon <= 1


def test_what_it_needs_stays():
    def fails(plan: Plan) -> bool:
        return crashes(plan) and any(spec.id == "j4" and spec.runs for spec in plan.job_specs)

    plan = shrink(drawn(fails), fails)
    [spec] = plan.job_specs
    assert fails(plan)
    assert len(plan.faults) == len(spec.runs) == 1


def test_acts_that_name_a_dropped_order_go_with_it():
    def fails(plan: Plan) -> bool:
        named = {id for operation in plan.operations for id in operation.targets}
        assert named <= {spec.id for spec in plan.job_specs} | {spec.queue for spec in plan.job_specs}
        return any(operation.verb is Verb.CANCEL for operation in plan.operations)

    plan = shrink(drawn(fails), fails)
    [operation] = plan.operations
    assert [spec.id for spec in plan.job_specs] == list(operation.targets)


def test_faults_of_a_dropped_worker_go_with_it():
    def fails(plan: Plan) -> bool:
        return any(spec.name == "w1" for spec in plan.worker_specs)

    plan = shrink(drawn(lambda plan: fails(plan) and any(fault.process == "w2" for fault in plan.faults)), fails)
    assert [spec.name for spec in plan.worker_specs] == ["w1"]
    assert plan.faults == ()


def test_options_fall_back_to_their_defaults():
    def fails(plan: Plan) -> bool:
        return any(spec.ttl is not None for spec in plan.job_specs)

    [spec] = shrink(drawn(fails), fails).job_specs
    plain = attrs.evolve(spec, ttl=None)
    assert plain == type(spec)(id=spec.id, queue=spec.queue)


def test_the_same_plan_shrinks_to_the_same():
    plan = drawn(crashes)
    assert shrink(plan, crashes) == shrink(plan, crashes)


@pytest.mark.parametrize("patience", [0, 1, 7])
def test_it_tries_no_more_often_than_it_may(patience: int):
    tried = []

    def fails(plan: Plan) -> bool:
        tried.append(plan)
        return any(isinstance(fault, Partition) for fault in plan.faults)

    plan = drawn(fails)
    tried.clear()
    shrink(plan, fails, patience)
    assert len(tried) == patience
