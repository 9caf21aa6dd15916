"""Makes a plan that breaks a rule smaller, for as long as it breaks one: what is left is needed to break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from .plan import EVERY_PROCESS, TICK, JobSpec, Operation, Plan

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


def _jobs(plan: Plan) -> Iterator[Plan]:
    for job_specs in filter(None, _fewer(plan.job_specs)):  # a world needs at least one job
        yield attrs.evolve(plan, job_specs=job_specs, operations=_among(plan.operations, job_specs))


def _operations(plan: Plan) -> Iterator[Plan]:
    for operations in _fewer(plan.operations):
        yield attrs.evolve(plan, operations=operations)


def _workers(plan: Plan) -> Iterator[Plan]:
    gone = {EVERY_PROCESS} | {operation.by for operation in plan.operations}
    for worker_specs in filter(None, _fewer(plan.worker_specs)):
        names = gone | {each.name for each in worker_specs}
        yield attrs.evolve(
            plan, worker_specs=worker_specs, faults=tuple(each for each in plan.faults if each.process in names)
        )
    for number, each in enumerate(plan.worker_specs):
        if each.rate_limit is not None:
            free = attrs.evolve(each, rate_limit=None)
            yield attrs.evolve(plan, worker_specs=(*plan.worker_specs[:number], free, *plan.worker_specs[number + 1 :]))


def _options(plan: Plan) -> Iterator[Plan]:
    for number, spec in enumerate(plan.job_specs):
        for plainer in _plainer(spec):
            yield attrs.evolve(plan, job_specs=(*plan.job_specs[:number], plainer, *plan.job_specs[number + 1 :]))


def _horizon(plan: Plan) -> Iterator[Plan]:
    if plan.horizon > 1:
        yield attrs.evolve(plan, horizon=int(plan.horizon / 2 / TICK) * TICK)


#: What can be cut from a plan: one after another, and again for as long as any of it helps.
_CUTS: Final = (_faults, _jobs, _operations, _workers, _options, _horizon)


def _fewer(things: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Without its first half, without its second, then without each quarter, and so on down to single ones."""
    size = len(things)
    while size > 0:
        size = (size + 1) // 2
        for start in range(0, len(things), size):
            yield (*things[:start], *things[start + size :])
        if size == 1:
            return


def _among(operations: tuple[Operation, ...], job_specs: tuple[JobSpec, ...]) -> tuple[Operation, ...]:
    """The operations on these jobs, and on the queues that they are in."""
    there = {spec.id for spec in job_specs} | {spec.queue for spec in job_specs}
    kept = (
        attrs.evolve(operation, targets=tuple(one for one in operation.targets if one in there))
        for operation in operations
    )
    return tuple(operation for operation in kept if operation.targets)


def _plainer(spec: JobSpec) -> Iterator[JobSpec]:
    for runs in _fewer(spec.runs):
        yield attrs.evolve(spec, runs=runs)
    for option in attrs.fields(JobSpec):
        optional = option.name != "runs" and option.default is not attrs.NOTHING
        if optional and getattr(spec, option.name) != option.default:
            plain: dict[str, Any] = {option.name: option.default}
            yield attrs.evolve(spec, **plain)
