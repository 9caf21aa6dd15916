"""What stops a handler before its time: a cancel, the loss of its job, its timeout, and the end of the grace."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from ..history import History, SimulatedHistory
from ..plan import Does
from .lives import Life, lives
from .reading import ROUNDING, SOON, Handler, end_of, handlers, run_spec_of, runs, was_lost, when


def a_handler_that_lost_its_job_stops(history: SimulatedHistory) -> Iterator[str]:
    """A handler whose job was cancelled or taken away ends within a quarter of a lease and a second.

    Its worker learns of it as it renews: later where it stood still, or where a renewal came late or got lost.
    The worker waits for a handler that shields itself.
    """
    found, known = runs(history), lives(history)
    for handler in handlers(history):
        run, life = found.get(handler.key), known.get(handler.began.by)
        if run is None or run.over is None or life is None or run.last > handler.last:
            continue
        deadline = life.renews_by(max(run.over.at, handler.began.at))
        if _goes_on(history, handler, life, deadline):
            what = f"{handler.key[0]} in run {handler.key[1]}, which it lost at {when(history, run.over.at).strip()}"
            yield f"{when(history, deadline)} {life.process} still runs {what}"


def a_handler_ends_by_its_timeout(history: SimulatedHistory) -> Iterator[str]:
    """A handler that takes longer than its timeout is stopped within a second, unless its process stands still.

    The worker waits for a handler that shields itself.
    """
    known = lives(history)
    for handler in handlers(history):
        life, timeout = known.get(handler.began.by), handler.began.job.timeout
        if life is not None and timeout is not None:
            deadline = life.awake_at(handler.began.at + timeout) + SOON
            if _goes_on(history, handler, life, deadline):
                what = f"{handler.key[0]} in run {handler.key[1]}, longer than its {timeout:g} s"
                yield f"{when(history, deadline)} {life.process} still runs {what}"


def a_handler_ends_with_the_grace(history: SimulatedHistory) -> Iterator[str]:
    """A handler that goes on in a worker which is told to stop ends within a second of the end of the grace.

    It may end later where its process stands still.  The worker waits for a handler that shields itself.
    """
    known = lives(history)
    for handler in handlers(history):
        life = known.get(handler.began.by)
        if life is not None and life.cut_by < inf:
            deadline = life.awake_at(life.cut_by) + SOON
            if _goes_on(history, handler, life, deadline):
                grace = f"its grace ended at {when(history, life.cut_by).strip()}"
                yield f"{when(history, deadline)} {life.process} still runs {handler.key[0]}: {grace}"


def no_handler_is_cut_short_without_a_reason(history: History) -> Iterator[str]:
    """A handler is cancelled only once its job is cancelled or lost, its timeout has passed, or the grace has ended."""
    found, known = runs(history), lives(history)
    for handler in handlers(history):
        life = known.get(handler.began.by)
        if handler.how != "cancelled" or life is None:
            continue
        lost = was_lost(found.get(handler.key), handler.last)
        if not (lost or handler.timed_out or handler.until >= life.cut_from - ROUNDING):
            what = f"{handler.key[0]} in run {handler.key[1]}"
            yield f"{when(history, handler.until)} {life.process} cuts short {what}, for no reason"


def _goes_on(history: SimulatedHistory, handler: Handler, life: Life, deadline: float) -> bool:
    """Whether the handler surely goes on at the deadline, and may not take longer."""
    run_spec = run_spec_of(history, handler)
    if run_spec.does is Does.RESIST:
        stood = sum(each.ends - each.begins for each in life.troubles if not each.verb)
        deadline = max(deadline, handler.began.at + run_spec.after + stood + SOON)
    deadline = life.awake_at(deadline)
    return deadline < min(handler.until, end_of(history), life.told_until)
