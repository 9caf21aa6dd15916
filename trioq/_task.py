"""Tasks: named handler functions, from which callers make jobs, bound calls, and tasks with other options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

import attrs

from ._core import payload
from ._core.backoff import Backoff, check_seconds
from ._core.errors import BadTask, NotSerializable, WrongArguments
from ._core.identifiers import check_name
from ._core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Job

if TYPE_CHECKING:
    from ._handle import JobHandle
    from ._queue import Queue

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
C_co = TypeVar("C_co", covariant=True)


class Options(TypedDict, total=False):
    """What can be set for a task, or for one job with ``task.options(...)``.  Durations are seconds."""

    delay: float
    run_at: datetime
    priority: int
    ttl: float | None
    timeout: float | None
    max_retries: int
    backoff: Backoff
    id: str
    unique_key: str
    metadata: Mapping[str, Any]


def _duration(name: str, value: Any) -> float | None:
    return None if value is None else check_seconds(name, value)


def _run_at(name: str, value: Any) -> float:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(
            f"{name} is an aware datetime, not {value!r}. Give it a time zone: datetime.now(timezone.utc) + ..."
        )
    return value.timestamp()


def _whole(least: int, most: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{name} is a whole number from {least} to {most}, not {value!r}")
        return value

    return check


def _backoff(name: str, value: Any) -> Backoff:
    if not isinstance(value, Backoff):
        raise ValueError(f"{name} is a Fixed, Linear, Exponential or Steps, not {value!r}")
    return value


def _metadata(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is a dict of JSON values, not {value!r}")
    return dict(value)


#: option -> the function that makes it the field of a job; ValueError for a value that does not fit.
_CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "delay": _duration,
    "run_at": _run_at,
    "priority": _whole(HIGHEST_PRIORITY, LOWEST_PRIORITY),
    "ttl": _duration,
    "timeout": _duration,
    "max_retries": _whole(0, 2**31 - 1),
    "backoff": _backoff,
    "id": check_name,
    "unique_key": check_name,
    "metadata": _metadata,
}


def fields_of(options: Options, limit: int) -> dict[str, Any]:
    """The fields of a job that *options* set, checked; metadata may take *limit* bytes."""
    fields: dict[str, Any] = {}
    for name, value in options.items():
        if name not in _CHECKS:
            raise TypeError(f"no such option: {name!r}. There are: {', '.join(_CHECKS)}")
        fields[name] = _CHECKS[name](name, value)
    if "delay" in fields and "run_at" in fields:
        raise ValueError("delay and run_at exclude each other: give one of them")
    if "metadata" in fields:
        fields["metadata"] = payload.copy_untyped(fields["metadata"], limit, "the metadata")
    return fields


@attrs.frozen
class Call(Generic[R_co]):
    """A task with its arguments, not enqueued yet: for `Queue.enqueue_many`."""

    job: Job
    result: payload.Codec


class Bound(Generic[P, R_co]):
    """A task with the options that its jobs get."""

    def __init__(self, queue: Queue, template: Job, signature: payload.Signature) -> None:
        self.queue = queue
        self._template = template
        self.signature = signature  #: how its arguments and its result are written and read

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R_co]:
        """Store a job that runs this task with these arguments; once this returns, it is not lost.

        TypeError for arguments that do not fit the function or can't be stored, PayloadTooLarge, IdTaken.
        BackendUnavailable when the store can't be reached: with an ``id`` it is safe to try again.
        """
        return await self.queue.submit(self.bind(*args, **kwargs))

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> Call[R_co]:
        """The call itself, for `Queue.enqueue_many`."""
        limit = self.queue.settings.max_payload_bytes
        try:
            data = self.signature.encode(args, kwargs, limit)
        except NotSerializable:
            raise
        except TypeError as error:
            raise WrongArguments(self._template.task, self.signature.bound, str(error)) from None
        return Call(self.queue.draft(self._template, data), self.signature.result)


class Task(Bound[P, R_co], Generic[P, R_co, C_co]):
    """A named handler function.  Calling it runs the function itself, here and now; `enqueue` makes a job of it."""

    def __init__(self, queue: Queue, fn: Callable[P, C_co], name: str, sandbox: bool, template: Job) -> None:
        super().__init__(queue, template, payload.Signature.of(fn))
        self.fn = fn
        self.name = name
        self.sandbox = sandbox
        self.is_async = inspect.iscoroutinefunction(inspect.unwrap(fn))
        self.__name__ = name
        self.__qualname__ = getattr(fn, "__qualname__", name)
        self.__doc__ = fn.__doc__
        self.__wrapped__ = fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> C_co:
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Task {self.name!r} of queue {self.queue.name!r}>"

    def options(self, **options: Unpack[Options]) -> Bound[P, R_co]:
        """The same task with other options: ``send.options(delay=60, id="welcome-7").enqueue(...)``."""
        limit = self.queue.settings.max_payload_bytes
        return Bound(self.queue, with_options(self._template, options, limit), self.signature)


class Decorator(Protocol):
    """What ``@queue.task(...)`` returns."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R, R]: ...


def with_options(template: Job, options: Options, limit: int) -> Job:
    """*template* with options applied; ValueError for those that contradict each other."""
    fields = fields_of(options, limit)
    if "run_at" in fields:
        fields["delay"] = None
    job = template.having(fields)
    if job.delay is not None and job.ttl is not None and job.delay >= job.ttl:
        raise ValueError(f"delay={job.delay} >= ttl={job.ttl}: such a job expires before it can start")
    return job


def check_function(fn: Any) -> None:
    """Raise BadTask for what can't be a task; it says how to mend that."""
    if not callable(fn):
        raise BadTask(fn, "it is not callable. Use the decorator as `@queue.task` or `@queue.task(max_retries=5)`")
    if isinstance(fn, type):
        raise BadTask(fn, "it is a class. Write a function that makes and uses one")
    if not hasattr(fn, "__qualname__"):
        raise BadTask(fn, "it is an object, and a task goes by the name of a function. Write a function that calls it")
    outer = fn.__qualname__.rpartition(".")[0]
    if isinstance(fn, (staticmethod, classmethod)) or (outer and not outer.endswith("<locals>")):
        raise BadTask(fn, "a method has no instance to run on in a worker. Make it a function, and pass it an id")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise BadTask(fn, "it is a generator, and no worker would iterate over it. Return a list")
