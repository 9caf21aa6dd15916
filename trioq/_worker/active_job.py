"""One job under way in this worker: its record, its slot, its cancel scope and the reason it was cancelled for."""

from __future__ import annotations

from enum import Enum, auto
from math import inf
from typing import Any

import trio

from .._core.job import Job


class Reason(Enum):
    """Why a handler is stopped.  The first one counts."""

    TIMEOUT = auto()
    CANCELLED = auto()  #: by a user
    SHUTDOWN = auto()
    LEASE_LOST = auto()


class ActiveJob:
    """A claimed job in this worker, from the claim to the settle."""

    __slots__ = (
        "displaced",
        "ended",
        "job",
        "progress",
        "resources",
        "scope",
        "slot",
        "spent",
        "start_by",
        "timeout",
        "_on_progress",
        "why",
    )

    def __init__(self, job: Job, slot: object, resources: Any, on_progress: Any, start_by: float) -> None:
        self.job = job
        self.start_by = start_by  #: the store time from which on its handler may not begin
        self.slot = slot  #: the borrower of its CapacityLimiter token; None once that is given back
        self.resources = resources
        self.scope = trio.CancelScope()
        self.timeout = inf
        self.progress: dict[str, Any] | None = None
        self.spent = False  #: whether its rate token is dated: the handler has begun
        self.ended = False  #: whether its outcome is handed over
        self.displaced = False  #: whether this worker holds a later run of the same job by now
        self._on_progress = on_progress
        self.why: Reason | None = None  #: what `cancel` was first called for

    def cancel(self, reason: Reason) -> bool:
        """Stop the handler for *reason*; False when it is being stopped already."""
        if self.ended or self.why is not None or self.scope.cancel_called:
            return False
        self.why = reason
        self.scope.cancel(reason=reason.name.lower())
        return True

    def cancel_by_user(self) -> None:
        """Stop the handler: the job is cancelled in the store, and the event was emitted."""
        self.cancel(Reason.CANCELLED)

    @property
    def lost(self) -> bool:
        """Whether its lease is known to be lost; then the loss has been reported."""
        return self.why is Reason.LEASE_LOST and not self.displaced

    def reason(self, drain: trio.CancelScope) -> Reason | None:
        """The reason why the handler was stopped, or None.

        A timeout and a drain are deadlines of scopes, and set no reason: the earlier deadline came first.
        """
        if self.why is not None:
            return self.why
        timeout = self.scope.deadline if self.scope.cancel_called else inf
        shutdown = drain.deadline if drain.cancel_called else inf
        if timeout == shutdown == inf:
            return None
        return Reason.TIMEOUT if timeout < shutdown else Reason.SHUTDOWN

    def report(self, progress: dict[str, Any]) -> None:
        """Keep what the handler reports.  Called from threads as well."""
        self.progress = progress
        self._on_progress(self)
