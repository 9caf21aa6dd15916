"""Assertions for the tests of an application: whether a job was enqueued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, ParamSpec, overload

from .._core import payload
from .._core.job import Job, State
from .._queue import Queue
from .._task import Task

P = ParamSpec("P")

#: How many jobs a failure lists.
_LISTED: Final = 20

_LIVE: Final = tuple(state for state in State if not state.final)


async def enqueued(queue: Queue, task: Task[..., Any, Any] | str | None = None) -> list[Job]:
    """The jobs of *queue* that have not ended, by age; or those of one task, given itself or by name."""
    name = task.name if isinstance(task, Task) else task
    return [job async for job in queue.jobs(task=name) if job.state in _LIVE]


@overload
async def assert_enqueued(queue: Queue, task: Task[P, Any, Any], /, *args: P.args, **kwargs: P.kwargs) -> Job: ...
@overload
async def assert_enqueued(queue: Queue, task: str, /, *args: Any, **kwargs: Any) -> Job: ...
async def assert_enqueued(queue: Queue, task: Task[..., Any, Any] | str, /, *args: Any, **kwargs: Any) -> Job:
    """Assert that a job of *task* with exactly these arguments is in the queue and has not ended; answers the first.

    ::

        async with queue:
            await sign_up("a@example.org")  # the code under test
            job = await assert_enqueued(queue, send, "a@example.org", subject="Welcome")
            assert job.priority == 5

    Arguments are the same if the task's function would see the same values, however they were passed.  The failure
    lists what is there.
    """
    named = task if isinstance(task, Task) else queue.tasks.get(task)
    name = task.name if isinstance(task, Task) else task
    wanted = _as_bound(named, *_as_stored(named, args, kwargs))
    jobs = await enqueued(queue)
    for job in jobs:
        if job.task == name and _arguments(named, job) == wanted:
            return job
    raise AssertionError("\n".join([f"queue {queue.name!r} has no live job {_call(name, args, kwargs)}", *_list(jobs)]))


def _as_stored(task: Task[..., Any, Any] | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    """The arguments as JSON gives them back: what a job of this call would hold.  TypeError where none could."""
    if task is None:
        return payload.read(payload.encode_untyped(args, kwargs, 2**63))
    return payload.read(task.bind(*args, **kwargs).job.payload)


def _arguments(task: Task[..., Any, Any] | None, job: Job) -> object:
    try:
        return _as_bound(task, *job.arguments())
    except (ValueError, TypeError):  # broken, or enqueued for another signature: these equal nothing
        return None


def _as_bound(task: Task[..., Any, Any] | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> object:
    """Bind the arguments to the function's own names, where it is known, so that calls can be compared."""
    if task is None:
        return (list(args), dict(kwargs))
    bound = task.signature.bound.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _list(jobs: Sequence[Job]) -> list[str]:
    if not jobs:
        return ["nothing is there"]
    lines = ["there are:", *(f"  {_describe(job)}" for job in jobs[:_LISTED])]
    return [*lines, f"  and {len(jobs) - _LISTED} more"] if len(jobs) > _LISTED else lines


def _describe(job: Job) -> str:
    try:
        call = _call(job.task, *job.arguments())
    except ValueError as error:
        call = f"{job.task}(...) [{error}]"
    return f"{call} is {job.state}, id {job.id}"


def _call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    shown = [*(f"{value!r:.100}" for value in args), *(f"{key}={value!r:.100}" for key, value in kwargs.items())]
    return f"{name}({', '.join(shown)})"
