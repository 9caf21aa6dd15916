"""Makes a plan that breaks a rule smaller, for as long as it breaks one: what is left is what it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from .plan import EVERYBODY, TICK, Act, Order, Plan

Fails = Callable[[Plan], bool]


def shrink(plan: Plan, fails: Fails, patience: int = 300) -> Plan:
    """The smallest plan found that still *fails*, in at most *patience* tries; the same one each time."""
    tries = iter(range(patience))
    before = None
    while before != plan:
        before = plan
        for cut in _CUTS:
            plan = _cut_down(plan, cut, fails, tries)
    return plan


def _cut_down(plan: Plan, cut: Callable[[Plan], Iterator[Plan]], fails: Fails, tries: Iterator[int]) -> Plan:
    smaller = True
    while smaller:
        smaller = False
        for candidate in cut(plan):
            if next(tries, None) is None:
                return plan
            if fails(candidate):
                plan, smaller = candidate, True
                break
    return plan


def _faults(plan: Plan) -> Iterator[Plan]:
    for faults in _fewer(plan.faults):
        yield attrs.evolve(plan, faults=faults)


def _orders(plan: Plan) -> Iterator[Plan]:
    for orders in filter(None, _fewer(plan.orders)):  # a world needs somebody, and something to do
        yield attrs.evolve(plan, orders=orders, acts=_among(plan.acts, orders))


def _acts(plan: Plan) -> Iterator[Plan]:
    for acts in _fewer(plan.acts):
        yield attrs.evolve(plan, acts=acts)


def _staff(plan: Plan) -> Iterator[Plan]:
    gone = {EVERYBODY} | {act.by for act in plan.acts}
    for staff in filter(None, _fewer(plan.staff)):
        names = gone | {each.name for each in staff}
        yield attrs.evolve(plan, staff=staff, faults=tuple(each for each in plan.faults if each.process in names))
    for number, each in enumerate(plan.staff):
        if each.rate_limit is not None:
            free = attrs.evolve(each, rate_limit=None)
            yield attrs.evolve(plan, staff=(*plan.staff[:number], free, *plan.staff[number + 1 :]))


def _options(plan: Plan) -> Iterator[Plan]:
    for number, order in enumerate(plan.orders):
        for plainer in _plainer(order):
            yield attrs.evolve(plan, orders=(*plan.orders[:number], plainer, *plan.orders[number + 1 :]))


def _horizon(plan: Plan) -> Iterator[Plan]:
    if plan.horizon > 1:
        yield attrs.evolve(plan, horizon=int(plan.horizon / 2 / TICK) * TICK)


#: What can be cut from a plan: one after another, and again for as long as any of it helps.
_CUTS: Final = (_faults, _orders, _acts, _staff, _options, _horizon)


def _fewer(things: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Without its first half, without its second, then without each quarter, and so on down to single ones."""
    size = len(things)
    while size > 0:
        size = (size + 1) // 2
        for start in range(0, len(things), size):
            yield (*things[:start], *things[start + size :])
        if size == 1:
            return


def _among(acts: tuple[Act, ...], orders: tuple[Order, ...]) -> tuple[Act, ...]:
    """What is asked of these orders, and of the queues that they are on."""
    there = {order.id for order in orders} | {order.queue for order in orders}
    kept = (attrs.evolve(act, targets=tuple(one for one in act.targets if one in there)) for act in acts)
    return tuple(act for act in kept if act.targets)


def _plainer(order: Order) -> Iterator[Order]:
    for turns in _fewer(order.turns):
        yield attrs.evolve(order, turns=turns)
    for option in attrs.fields(Order):
        optional = option.name != "turns" and option.default is not attrs.NOTHING
        if optional and getattr(order, option.name) != option.default:
            plain: dict[str, Any] = {option.name: option.default}
            yield attrs.evolve(order, **plain)
