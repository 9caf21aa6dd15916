"""What happened, in the order in which it happened: ``rules`` judges it, and ``report`` prints a simulated world's.

Values only.  Real processes note what they do and what trioq tells them, with the times of the system's monotonic
clock.  A simulated world has the store's time, and the store's own entries.  The store writes these as it acts, so they
are the truth; what a client or a worker believes stands beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import attrs

from ..._core.events import Event
from ..._core.job import Job
from ..._core.lifecycle import Change
from ...backends._base import Verdict
from .plan import Fault, Operation, Plan, WorkerSpec


@attrs.frozen
class Entry:
    """Something happened, at a time, to or by a process: a client (``c1``), or one life of a worker (``w1.2``)."""

    at: float
    by: str


#: The name of the store, where an experiment with real processes breaks it.
STORE: Final = "store"

#: Notes what happened, at the end of the history.
Write = Callable[[Entry], None]


# --- clients ------------------------------------------------------------------------------------


@attrs.frozen
class Asked(Entry):
    """A client begins to ask."""

    operation: Operation


@attrs.frozen
class Answered(Entry):
    """It has its answer.

    That is, for each target: an enqueue's id and whether it is new, a pair; whether a cancel or a requeue did
    something; for a result ``"completed"``, ``"failed"``, ``"cancelled"`` or ``"expired"``; for a pause or resume None.
    """

    operation: Operation
    answer: tuple[Any, ...]


@attrs.frozen
class Unanswered(Entry):
    """The store could not be reached: what was asked may have been done, or not, or be done later."""

    operation: Operation
    error: str


# --- the store ----------------------------------------------------------------------------------


@attrs.frozen
class Inserted(Entry):
    """A new record, as stored."""

    job: Job


@attrs.frozen
class Claimed(Entry):
    """A job was handed out: the record before, and after."""

    before: Job
    job: Job


@attrs.frozen
class Stored(Entry):
    """A step was stored over the record *before*; it was not there already.  The record is then *job*."""

    before: Job
    change: Change
    job: Job


@attrs.frozen
class Refused(Entry):
    """A step was not stored: the record is *current*, or gone."""

    change: Change
    verdict: Verdict
    current: Job | None


@attrs.frozen
class Renewed(Entry):
    """A lease was extended."""

    job: Job


@attrs.frozen
class Paused(Entry):
    """A queue hands out nothing from now on, or hands out again."""

    queue: str
    paused: bool


# --- workers ------------------------------------------------------------------------------------


@attrs.frozen
class Started(Entry):
    """A process begins to work."""

    worker: WorkerSpec


@attrs.frozen
class Began(Entry):
    """A handler begins to run a job: the record as the worker has it."""

    job: Job
    nth_run: int  #: how many handlers had begun this job before: in the whole world, or in this real process


@attrs.frozen
class Ended(Entry):
    """A handler ends; one whose process died does not.

    It ``"returned"``, ``"raised"``, asked for a ``"retry"`` or a ``"snooze"``, ``"rejected"``, or was ``"cancelled"``.
    """

    job: Job
    nth_run: int
    how: str
    returned: Any = None  #: None also where it returned what need not be compared


@attrs.frozen
class Stopped(Entry):
    """A worker has stopped as it should: all that it held is settled or given back, or named as unsettled."""

    borrowed: int = 0  #: slots that it has not given back
    tokens: int = 0  #: rate tokens that it still holds
    unsettled: tuple[str, ...] = ()  #: jobs that the store did not take in time: their leases are left to run out
    left: tuple[str, ...] = ()  #: threads, tasks, open files and children that its process did not have before


@attrs.frozen
class Broke(Entry):
    """A worker ended in an error, or a client met an unexpected one; neither may happen."""

    error: str


# --- faults -------------------------------------------------------------------------------------


@attrs.frozen
class Died(Entry):
    """A process is gone, without any clean-up."""

    code: int | None = None  #: of a real process: its exit code, or the negative number of the signal


@attrs.frozen
class Froze(Entry):
    """A process stands still from now on."""


@attrs.frozen
class Thawed(Entry):
    """It goes on."""


@attrs.frozen
class Hurt(Entry):
    """A call did not go well: its caller was told that the store can't be reached, or had to wait for its answer."""

    verb: str
    how: str
    seconds: float  #: how long the caller waited
    unknown: bool  #: whether the caller was told that the store can't be reached


@attrs.frozen
class Struck(Entry):
    """Any other fault begins: one of the plan, or what an experiment calls it."""

    fault: Fault | str


@attrs.frozen
class Healed(Entry):
    """The fault of this name is over; in a simulated world all faults are, and paused queues are resumed."""

    fault: str = ""


# --- events -------------------------------------------------------------------------------------


@attrs.frozen
class Told(Entry):
    """A process told an event.  *by* is the name of the client or worker, where it is known; else ``?``."""

    event: Event


# --- all of it ----------------------------------------------------------------------------------

E = TypeVar("E", bound=Entry)


@attrs.frozen(kw_only=True, eq=False)
class History:
    """All that was seen to happen, and what was in the store at the end.  Compared by identity, so it can be a key."""

    began: float  #: the time at the beginning
    entries: tuple[Entry, ...]
    records: Mapping[str, Job]  #: by id, as the store has them at the end; ids are unique
    drained: bool  #: whether everything had ended before the history did
    slack: float = 0.0  #: seconds by which two entries may be nearer to each other than the events behind them

    def all(self, kind: type[E]) -> list[E]:
        """The entries of one kind, in order."""
        return [entry for entry in self.entries if isinstance(entry, kind)]


@attrs.frozen(kw_only=True, eq=False)
class SimulatedHistory(History):
    """A history that has the store's own entries, and the plan that it came from."""

    plan: Plan
