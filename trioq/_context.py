"""What a handler may know of its own job, and which jobs run in this process.  The worker runs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

from ._core import payload
from ._core.errors import NoCurrentJob
from ._core.job import Job
from .backends import Backend


class RunningJob(Protocol):
    """A running job: the part that code outside the worker uses."""

    job: Job
    resources: Any

    def report(self, progress: dict[str, Any]) -> None:
        """Keep the progress that the handler reports."""

    def cancel_by_user(self) -> None:
        """Stop the handler: a caller has cancelled the job in the store, and emitted the event."""


#: Bytes of one progress report as JSON, at most: it travels with each renewal.
MAX_PROGRESS: Final = 64 * 1024

#: Set by the worker in the context of each handler.
running_job: Final[ContextVar[RunningJob]] = ContextVar("running_job")


class CurrentJob:
    """A handler's view of its own job.  It works in threads, too."""

    __slots__ = ("_running",)

    def __init__(self, running: RunningJob) -> None:
        self._running = running

    @property
    def id(self) -> str:
        """The job's id."""
        return self._running.job.id

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self._running.job.queue

    @property
    def task(self) -> str:
        """The name of its task."""
        return self._running.job.task

    @property
    def run(self) -> int:
        """The number of this run: every claim counts."""
        return self._running.job.run

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1: shutdowns, snoozes and crashes spend none."""
        return self._running.job.attempt

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was given as ``metadata=`` at enqueue."""
        return self._running.job.metadata

    @property
    def resources(self) -> Any:
        """The value of the worker's ``lifespan``."""
        return self._running.resources

    def progress(self, fraction: float, **details: Any) -> None:
        """Report progress: ``progress(0.5, note="connected")``.  Never blocks; the last report is saved in time.

        TypeError for what JSON would lose or change: raised here, because later it would spoil a batch of renewals.
        """
        report = {"fraction": fraction, **details}
        self._running.report(payload.copy_untyped(report, MAX_PROGRESS, "the progress"))


def current_job() -> CurrentJob:
    """The job that the calling handler runs for; NoCurrentJob outside of one."""
    try:
        return CurrentJob(running_job.get())
    except LookupError:
        raise NoCurrentJob from None


class _RunningJobs(dict[tuple[str, str], Any]):
    """A dict that a WeakSet can hold."""

    __slots__ = ("__weakref__",)
    __hash__ = object.__hash__  # type: ignore[assignment]


_here: Final[WeakKeyDictionary[Backend, WeakSet[_RunningJobs]]] = WeakKeyDictionary()


def make_running_jobs(backend: Backend) -> dict[tuple[str, str], Any]:
    """A registry of running jobs by queue and id, found by `find_running` for as long as its worker keeps it."""
    jobs = _RunningJobs()
    _here.setdefault(backend, WeakSet()).add(jobs)
    return jobs


def find_running(backend: Backend, queue: str, id: str) -> Iterator[RunningJob]:
    """The runs of this job in this process: a cancel reaches them at once, not by way of the store."""
    for jobs in _here.get(backend, ()):
        if (queue, id) in jobs:
            yield jobs[queue, id]
