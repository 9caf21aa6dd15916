"""Shrinking: what is left of a plan is what it takes to fail."""

from __future__ import annotations

import attrs
import pytest

from trioq.testing.simulation.draw import draw_plan
from trioq.testing.simulation.plan import Crash, Cut, Plan, Verb
from trioq.testing.simulation.shrink import shrink


def drawn(wanted) -> Plan:
    """The first drawn plan of some size that is *wanted*."""
    plans = (draw_plan(seed) for seed in range(1000))
    return next(plan for plan in plans if len(plan.orders) > 5 and len(plan.staff) > 1 and wanted(plan))


def crashes(plan: Plan) -> bool:
    return any(isinstance(fault, Crash) for fault in plan.faults)


def test_what_the_failure_does_not_need_goes():
    plan = shrink(drawn(crashes), crashes)
    assert [type(fault) for fault in plan.faults] == [Crash]
    assert len(plan.staff) == len(plan.orders) == 1  # a world needs somebody, and something to do
    assert plan.acts == ()
    assert plan.horizon <= 1


def test_what_it_needs_stays():
    def fails(plan: Plan) -> bool:
        return crashes(plan) and any(order.id == "j4" and order.turns for order in plan.orders)

    plan = shrink(drawn(fails), fails)
    [order] = plan.orders
    assert fails(plan)
    assert len(plan.faults) == len(order.turns) == 1


def test_acts_that_name_a_dropped_order_go_with_it():
    def fails(plan: Plan) -> bool:
        named = {id for act in plan.acts for id in act.targets}
        assert named <= {order.id for order in plan.orders} | {order.queue for order in plan.orders}
        return any(act.verb is Verb.CANCEL for act in plan.acts)

    plan = shrink(drawn(fails), fails)
    [act] = plan.acts
    assert [order.id for order in plan.orders] == list(act.targets)


def test_faults_of_a_dropped_worker_go_with_it():
    def fails(plan: Plan) -> bool:
        return any(staff.name == "w1" for staff in plan.staff)

    plan = shrink(drawn(lambda plan: fails(plan) and any(fault.process == "w2" for fault in plan.faults)), fails)
    assert [staff.name for staff in plan.staff] == ["w1"]
    assert plan.faults == ()


def test_options_fall_back_to_their_defaults():
    def fails(plan: Plan) -> bool:
        return any(order.ttl is not None for order in plan.orders)

    [order] = shrink(drawn(fails), fails).orders
    plain = attrs.evolve(order, ttl=None)
    assert plain == type(order)(id=order.id, queue=order.queue)


def test_the_same_plan_shrinks_to_the_same():
    plan = drawn(crashes)
    assert shrink(plan, crashes) == shrink(plan, crashes)


@pytest.mark.parametrize("patience", [0, 1, 7])
def test_it_tries_no_more_often_than_it_may(patience: int):
    tried = []

    def fails(plan: Plan) -> bool:
        tried.append(plan)
        return any(isinstance(fault, Cut) for fault in plan.faults)

    plan = drawn(fails)
    tried.clear()
    shrink(plan, fails, patience)
    assert len(tried) == patience
