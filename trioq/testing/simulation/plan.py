"""What is to happen in one simulated world: what clients ask, how the handlers behave, and what breaks when.

Values only, written by hand or drawn by ``draw``.  ``world`` carries them out.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf
from typing import Final

import attrs

#: All times of a plan are multiples of this: sums of them are exact, so that deadlines are met to the very tick.
TICK: Final = 1 / 64

#: A partition of this process cuts off all of them.
EVERY_PROCESS: Final = "*"


# --- jobs ---------------------------------------------------------------------------------------


class Does(StrEnum):
    """How a handler behaves."""

    RETURN = "returns"
    RAISE = "raises"
    RETRY = "asks for a retry"
    SNOOZE = "snoozes"
    REJECT = "rejects its job"
    HANG = "hangs until it is cancelled"
    RESIST = "shields itself, and returns"
    KILL = "kills its process"


@attrs.frozen
class RunSpec:
    """One run of a handler: what it does, after how many seconds."""

    does: Does = Does.RETURN
    after: float = 0.0
    delay: float = 0.0  #: what it asks for, where it snoozes or asks for a retry


@attrs.frozen(kw_only=True)
class JobSpec:
    """One job: its options, and what its handler does the first time, the second, ...; then it returns at once."""

    id: str
    queue: str
    runs: tuple[RunSpec, ...] = ()
    delay: float | None = None
    ttl: float | None = None
    timeout: float | None = None
    priority: int = 0
    max_retries: int = 2
    max_crashes: int = 3
    backoff: float = 0.5  #: the base of its Exponential, with a factor of 2 and half of it jitter
    unique_key: str | None = None


# --- clients and workers ------------------------------------------------------------------------


class Verb(StrEnum):
    """What a client asks for."""

    ENQUEUE = "enqueue"
    CANCEL = "cancel"
    REQUEUE = "requeue"
    RESULT = "wait for"
    PAUSE = "pause"
    RESUME = "resume"


@attrs.frozen
class Operation:
    """A client asks for something: of jobs, by their ids, or of queues, by their names."""

    at: float
    by: str
    verb: Verb = attrs.field(converter=Verb)
    targets: tuple[str, ...]


@attrs.frozen(kw_only=True)
class WorkerSpec:
    """A worker that is to be kept running: a new process takes over when one has died or left."""

    name: str
    queues: tuple[str, ...]
    concurrency: int = 2
    rate_limit: int | None = None
    rate_interval: float = 1.0
    lease: float = 15.0


# --- what breaks --------------------------------------------------------------------------------


class Where(StrEnum):
    """At which point of a call to the store."""

    BEFORE = "before it had an effect"
    UNANSWERED = "after its effect, before the answer"
    AFTER = "with the answer in hand"


@attrs.frozen(kw_only=True)
class Crash:
    """A process is gone between two steps, without any clean-up: at a time, in its n-th call, or at its n-th step."""

    process: str
    at: float = inf
    call: int | None = None
    where: Where = Where.BEFORE
    step: int | None = None
    restart: float = 1.0  #: seconds until another process takes over


@attrs.frozen(kw_only=True)
class Leave:
    """A worker is told to stop, and another takes over: a rolling restart."""

    process: str
    at: float
    grace: float
    restart: float = 1.0


@attrs.frozen(kw_only=True)
class Freeze:
    """Nothing of a process moves for a while, timers included; then it goes on as if nothing had been."""

    process: str
    at: float
    seconds: float


@attrs.frozen(kw_only=True)
class SlowCall:
    """The n-th call of a process is slow on its way there or back; past the caller's patience its outcome is unknown.

    Infinity is never: a request that got lost, or a reply.  A reset is told at once, where silence takes patience.
    """

    process: str
    call: int
    there: float = 0.0
    back: float = 0.0
    reset: bool = False


@attrs.frozen(kw_only=True)
class SlowVerb:
    """All calls of one kind are slow on their way there or back for a while, and all others are as quick as ever."""

    process: str
    at: float
    seconds: float
    verb: str
    there: float = 0.0
    back: float = 0.0


@attrs.frozen(kw_only=True)
class Partition:
    """A process, or all of them, can't reach the store for a while: calls are refused at once, or meet with silence."""

    process: str
    at: float
    seconds: float
    silent: bool = False


class HintFault(StrEnum):
    """What goes wrong with hints on their way."""

    DROPPED = "dropped"
    DOUBLED = "doubled"
    LATE = "late"


@attrs.frozen(kw_only=True)
class Hints:
    """The hints to a process are dropped, doubled or late for a while."""

    process: str
    at: float
    seconds: float
    what: HintFault


@attrs.frozen(kw_only=True)
class Clock:
    """The wall clock of a process, and of those that take over from it, is set forward or back."""

    process: str
    at: float
    by: float


Fault = Crash | Leave | Freeze | SlowCall | SlowVerb | Partition | Hints | Clock


# --- all of it ----------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Plan:
    """One world.  The same plan makes the same history, to the last step of the scheduler."""

    seed: int  #: of the scheduler's dice, and of all others
    worker_specs: tuple[WorkerSpec, ...]
    job_specs: tuple[JobSpec, ...]
    operations: tuple[Operation, ...]
    faults: tuple[Fault, ...] = ()
    horizon: float = 30.0  #: seconds until the faults stop
    #: Whether the faults stop at the horizon, and all work is to end soon after; else the world itself ends there.
    heals: bool = True

    @property
    def workers(self) -> tuple[str, ...]:
        """Their names; those of their processes are ``w1.1``, ``w1.2`` and so on."""
        return tuple(spec.name for spec in self.worker_specs)

    @property
    def clients(self) -> tuple[str, ...]:
        """The names of all other processes in the plan; ``c1`` is always there."""
        named = {"c1", *(operation.by for operation in self.operations), *(fault.process for fault in self.faults)}
        return tuple(sorted(named - {EVERY_PROCESS, *self.workers}))

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues that have jobs or workers."""
        served = {queue for spec in self.worker_specs for queue in spec.queues}
        return tuple(sorted(served | {spec.queue for spec in self.job_specs}))

    def faults_of(self, process: str) -> tuple[Fault, ...]:
        """The faults that strike that process by name."""
        return tuple(fault for fault in self.faults if fault.process == process)
