"""What is to happen in one simulated world: who enqueues what, how the handlers behave, and what breaks when.

Values only, drawn from a seed or written by hand.  How they come true is in ``world``.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from math import inf
from random import Random
from typing import Final

import attrs

#: All times of a plan are multiples of this: sums of them are exact, so that deadlines are met to the very tick.
TICK: Final = 1 / 64

#: A fault of this process is a fault of all of them.
EVERYBODY: Final = "*"


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
class Turn:
    """One run of a handler: what it does, after how many seconds."""

    does: Does = Does.RETURN
    after: float = 0.0
    delay: float = 0.0  #: what it asks for, where it snoozes or asks for a retry


@attrs.frozen(kw_only=True)
class Order:
    """One job: its options, and what its handler does the first time, the second, ...; then it returns at once."""

    id: str
    queue: str
    turns: tuple[Turn, ...] = ()
    delay: float | None = None
    ttl: float | None = None
    timeout: float | None = None
    priority: int = 0
    max_retries: int = 2
    max_crashes: int = 3
    backoff: float = 0.5  #: the base of its Exponential, with a factor of 2 and half of it jitter
    unique_key: str | None = None


# --- people -------------------------------------------------------------------------------------


class Verb(StrEnum):
    """What a client asks for."""

    ENQUEUE = "enqueue"
    CANCEL = "cancel"
    REQUEUE = "requeue"
    RESULT = "wait for"
    PAUSE = "pause"
    RESUME = "resume"


@attrs.frozen
class Act:
    """A client asks for something: of jobs, by their ids, or of queues, by their names."""

    at: float
    by: str
    verb: Verb
    targets: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Staff:
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
class Slip:
    """The n-th call of a process is slow on its way there or back; past the caller's patience its outcome is unknown.

    Infinity is never: a request that got lost, or a reply.  A reset is told at once, where silence takes patience.
    """

    process: str
    call: int
    there: float = 0.0
    back: float = 0.0
    reset: bool = False


@attrs.frozen(kw_only=True)
class Cut:
    """A process, or everybody, can't reach the store for a while: refused at once, or met with silence."""

    process: str
    at: float
    seconds: float
    silent: bool = False


class Mischief(StrEnum):
    """What becomes of hints on their way."""

    DROPPED = "dropped"
    DOUBLED = "doubled"
    LATE = "late"


@attrs.frozen(kw_only=True)
class Hints:
    """The hints to a process are dropped, doubled or late for a while."""

    process: str
    at: float
    seconds: float
    what: Mischief


@attrs.frozen(kw_only=True)
class Clock:
    """The wall clock of a process is set forward or back."""

    process: str
    at: float
    by: float


Fault = Crash | Leave | Freeze | Slip | Cut | Hints | Clock


# --- all of it ----------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Plan:
    """One world.  The same plan makes the same history, to the last step of the scheduler."""

    seed: int  #: of the scheduler's dice, and of all others
    staff: tuple[Staff, ...]
    orders: tuple[Order, ...]
    acts: tuple[Act, ...]
    faults: tuple[Fault, ...] = ()
    horizon: float = 30.0  #: seconds until the faults stop
    #: Whether faults stop at the horizon, and everything is to end soon; else the world ends there, in the midst of it.
    heals: bool = True

    @classmethod
    def drawn(cls, seed: int) -> Plan:
        """The plan of that seed."""
        return _Dice(seed).plan()


class _Dice:
    """Draws a plan.  Each draws but some kinds of faults and options: a bug that needs one may be hidden by another."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)

    def plan(self) -> Plan:
        self.horizon = float(self.random.choice([10, 20, 40]))
        self.queues = self.random.choice([("a",), ("a",), ("a", "b")])
        self.options = set(self.some("delay", "ttl", "timeout", "priority", "unique_key"))
        self.behaviours = [Does.RETURN, Does.RETURN, Does.RAISE, *self.some(*Does)]
        staff = tuple(self.staff(f"w{number}") for number in range(1, self.random.randint(1, 3) + 1))
        orders = tuple(self.order(f"j{number}") for number in range(1, self.random.randint(1, 12) + 1))
        clients = self.random.choice([("c1",), ("c1", "c2")])
        acts = tuple(sorted(self.acts(orders, clients), key=lambda act: act.at))
        faults = tuple(fault for kind in self.some(*_FAULTS) for fault in self.faults(kind, staff, clients))
        return Plan(
            seed=self.seed,
            staff=staff,
            orders=orders,
            acts=acts,
            faults=faults,
            horizon=self.horizon,
            heals=self.random.random() < 0.7,
        )

    def some(self, *among: str) -> list[str]:
        return [one for one in among if self.random.random() < 0.4]

    def seconds(self, most: float) -> float:
        """Mostly short, sometimes nothing, on the grid."""
        return int(self.random.random() ** 2 * most / TICK) * TICK

    def moment(self) -> float:
        return self.random.randrange(int(self.horizon / TICK)) * TICK

    def staff(self, name: str) -> Staff:
        queues = self.queues if self.random.random() < 0.7 else (self.random.choice(self.queues),)
        if name == "w1":
            queues = self.queues  # somebody serves each of them
        return Staff(
            name=name,
            queues=queues,
            concurrency=self.random.randint(1, 4),
            rate_limit=self.random.choice([None, None, 1, 3]),
            rate_interval=self.random.choice([0.5, 1.0, 4.0]),
            lease=self.random.choice([3.0, 6.0, 15.0]),
        )

    def order(self, id: str) -> Order:
        turns = tuple(
            Turn(Does(self.random.choice(self.behaviours)), self.seconds(8), self.seconds(8))
            for _ in range(self.random.randint(0, 4))
        )
        timeout = (
            self.seconds(6) + TICK if self.drawn("timeout") or any(turn.does is Does.HANG for turn in turns) else None
        )
        delay = self.seconds(12) if self.drawn("delay") else None
        return Order(
            id=id,
            queue=self.random.choice(self.queues),
            turns=turns,
            delay=delay,
            ttl=(delay or 0.0) + self.seconds(15) + TICK if self.drawn("ttl") else None,
            timeout=timeout,
            priority=self.random.choice([-1, 1]) if self.drawn("priority") else 0,
            max_retries=self.random.randint(0, 3),
            max_crashes=self.random.randint(1, 3),
            backoff=self.random.choice([0.0, 0.25, 1.0]),
            unique_key=self.random.choice(["k", "l"]) if self.drawn("unique_key") else None,
        )

    def drawn(self, option: str) -> bool:
        return option in self.options and self.random.random() < 0.5

    def acts(self, orders: tuple[Order, ...], clients: tuple[str, ...]) -> Iterator[Act]:
        waiting = list(orders)
        while waiting:
            batch = tuple(
                order for order in waiting[: self.random.choice([1, 1, 2, 4])] if order.queue == waiting[0].queue
            )
            waiting = [order for order in waiting if order not in batch]
            at = self.moment() * self.random.choice([0.0, 0.5, 1.0])
            yield Act(at, self.random.choice(clients), Verb.ENQUEUE, tuple(order.id for order in batch))
            for order in batch:
                for verb in (Verb.CANCEL, Verb.REQUEUE, Verb.RESULT):
                    if self.random.random() < 0.15:
                        yield Act(at + self.seconds(self.horizon), self.random.choice(clients), verb, (order.id,))
        for queue in self.queues:
            if self.random.random() < 0.2:
                at = self.moment()
                yield Act(at, self.random.choice(clients), Verb.PAUSE, (queue,))
                yield Act(at + self.seconds(10), self.random.choice(clients), Verb.RESUME, (queue,))

    def faults(self, kind: str, staff: tuple[Staff, ...], clients: tuple[str, ...]) -> Iterator[Fault]:
        for _ in range(self.random.randint(1, 4)):
            member, at, restart = self.random.choice(staff), self.moment(), self.seconds(4)
            worker, anybody = member.name, self.random.choice([member.name, member.name, *clients])
            call = 1 + int(self.random.expovariate(1 / 20))
            match kind:
                case "crash":
                    yield Crash(process=worker, at=at, restart=restart)
                case "crash in a call":
                    yield Crash(process=worker, call=call, where=self.random.choice(list(Where)), restart=restart)
                case "crash at a step":
                    yield Crash(process=worker, step=1 + int(self.random.expovariate(1 / 200)), restart=restart)
                case "leave":
                    yield Leave(process=worker, at=at, grace=self.seconds(6), restart=restart)
                case "freeze":
                    yield Freeze(process=worker, at=at, seconds=self.seconds(40))
                case "nap":  # to wake up when others are just about to take it for dead
                    yield Freeze(process=worker, at=at, seconds=member.lease + self.seconds(6))
                case "slip":
                    for number in range(self.random.randint(1, 4)):
                        there, back = self.random.choice([(0.0, inf), (inf, 0.0), (self.seconds(12), self.seconds(4))])
                        reset = self.random.random() < 0.5
                        yield Slip(process=anybody, call=call + number, there=there, back=back, reset=reset)
                case "cut":
                    everybody = self.random.random() < 0.3
                    silent = self.random.random() < 0.5
                    process = EVERYBODY if everybody else anybody
                    yield Cut(process=process, at=at, seconds=self.seconds(20), silent=silent)
                case "hints":
                    what = self.random.choice(list(Mischief))
                    yield Hints(process=worker, at=at, seconds=self.seconds(40), what=what)
                case "clock":
                    yield Clock(process=anybody, at=at, by=self.random.choice([-3600.0, -1.0, 1.0, 3600.0]))


_FAULTS: Final = (
    "crash",
    "crash in a call",
    "crash at a step",
    "leave",
    "freeze",
    "nap",
    "slip",
    "cut",
    "hints",
    "clock",
)
