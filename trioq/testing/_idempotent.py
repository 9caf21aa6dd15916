"""Asserts that a handler may safely run again, as it does whenever its worker dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final

from .._core.job import State
from .._queue import Queue, find_queue
from .._task import Bound, Call
from .._worker.worker import Worker
from ._trial import Aftermath, Scene, Trial, called
from .simulation.processes import processes

_ADVICE: Final = """\
What came before that point was done twice; what came after it, finally blocks included, only by the second run.
Let that one find what the first one did: write under a key that both share, such as current_job().id, or do in one
transaction what belongs together."""

_NOTHING_TO_COMPARE: Final = """\
{task} returns nothing, so there is nothing to compare: give observe=, a function that answers what the handler
changes, such as the rows of a table. With observe=lambda: None you ask no more than that a second run completes."""


async def assert_idempotent(
    task: Bound[..., Any] | Call[Any],
    /,
    *args: Any,
    observe: Callable[[], Any] | None = None,
    reset: Callable[[], Any] | None = None,
    resources: Any = None,
    lifespan: Callable[[Worker], AbstractAsyncContextManager[Any]] | None = None,
    **kwargs: Any,
) -> None:
    """Assert that running *task* again after a crash leaves the world as one undisturbed run does.

    ::

        await assert_idempotent(charge, "order-7", 30, observe=lambda: ledger, reset=ledger.clear)

    A worker runs the job, in a store of its own.  Then the run is repeated with a worker that is killed, as by
    ``kill -9``: once at each checkpoint of the handler, and once just before its end is stored.  Nothing of a killed
    handler runs any more, no ``finally``.  A second worker runs the same job again, with the same id.  Each time the
    result, and what *observe* answers, must be what they were.  AssertionError names the point and the difference.

    *observe* may be left out where the result says it all; TypeError where there is no result either.

    *reset* puts the world back before each run.  Both *observe* and *reset* may be async.  Handlers find *resources*,
    or the value of *lifespan*, in ``current_job().resources``.  Each worker enters *lifespan* for itself, and it is
    left when the worker dies: what a dead process had open is closed.  A bound call, ``charge.bind(...)``, can be given
    in place of task and arguments.  The job's delay and TTL don't count, and leases and retries take no time.

    Plain and sandboxed handlers are killed only before their end is stored.  Cancelled, it cancels the workers.
    """
    queue, call = _bound(task, args, kwargs)
    if resources is not None and lifespan is not None:
        raise TypeError("resources and lifespan exclude each other: give one of them")
    scene = Scene(
        queue=queue,
        # There must be a second run, however few crashes the queue's settings allow.
        job=call.job.having({"delay": None, "ttl": None, "run_at": 0.0, "max_crashes": 3}),
        observe=observe or (lambda: None),
        lifespan=lifespan or (lambda _: nullcontext(resources)),
    )
    put_back = reset or (lambda: None)
    with processes():
        undisturbed = Trial(scene, None)
        await called(put_back)
        wanted = await undisturbed.run()
        if wanted.state is not State.COMPLETED:
            raise AssertionError(f"{scene.job.task} does not complete even undisturbed: {_ended(wanted)}")
        if observe is None and wanted.result is None:
            raise TypeError(_NOTHING_TO_COMPARE.format(task=scene.job.task))
        for point in range(1, undisturbed.points + 1):
            trial = Trial(scene, point)
            await called(put_back)
            found = await trial.run()
            differences = list(_differences(found, wanted))
            if differences:
                raise AssertionError(
                    _explain(scene.job.task, trial, undisturbed.points, differences, reset is not None)
                )


def _bound(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Queue, Call[Any]]:
    if isinstance(task, Bound):
        return task.queue, task.bind(*args, **kwargs)
    if not isinstance(task, Call):
        raise TypeError(
            f"assert_idempotent takes a task and its arguments, or a bound call, not {task!r:.200}: "
            "assert_idempotent(send, 'a@example.org')"
        )
    if args or kwargs:
        raise TypeError("a bound call has its arguments: give the task itself, and the arguments after it")
    queue = find_queue(task.job.queue)
    if task.job.task not in queue.tasks:
        raise ValueError(f"{queue} has no task {task.job.task!r}: give the task itself, and the arguments after it")
    return queue, task


def _differences(found: Aftermath, wanted: Aftermath) -> Iterator[str]:
    if found.state is not wanted.state:
        yield f"it ended otherwise: {_ended(found)}, not {_ended(wanted)}"
    elif found.result != wanted.result:
        yield f"it returned {found.result!r:.1000}, not {wanted.result!r:.1000}"
    if found.observed != wanted.observed:
        yield f"observe() answers {found.observed!r:.1000}, not {wanted.observed!r:.1000}"


def _ended(aftermath: Aftermath) -> str:
    if aftermath.error is None or aftermath.state is State.COMPLETED:
        return str(aftermath.state)
    return f"{aftermath.state}, {aftermath.error.splitlines()[-1]}"


def _explain(task: str, trial: Trial, points: int, differences: list[str], was_reset: bool) -> str:
    if trial.died_at is None:
        lines = [f"{task} was run once more, undisturbed, and things are not as after the first time:"]
    else:
        lines = [
            f"{task} is not idempotent. Its worker was killed at point {trial.points} of {points},",
            f"  {trial.died_at}",
            "and another ran the job again. Things are not as after one undisturbed run:",
        ]
    lines += [f"  {difference}" for difference in differences]
    if trial.died_at is not None:
        lines.append(_ADVICE)
    if not was_reset:
        lines.append("(Without reset=, each run found what all those before it had left.)")
    return "\n".join(lines)
