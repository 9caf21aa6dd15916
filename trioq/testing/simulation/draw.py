"""Draws a plan from a seed: a world like no other, and the same one each time.  What plans are is in ``plan``."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from random import Random
from typing import Final

from .plan import (
    EVERYBODY,
    TICK,
    Act,
    Clock,
    Crash,
    Cut,
    Does,
    Drag,
    Fault,
    Freeze,
    Hints,
    Leave,
    Mischief,
    Order,
    Plan,
    Slip,
    Staff,
    Turn,
    Verb,
    Where,
)


def draw_plan(seed: int) -> Plan:
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
        self.longest = 30 if self.horizon == 40 else 8  # where there is time, handlers may take longer than leases
        self.behaviours = [Does.RETURN, Does.RETURN, Does.RAISE, *self.some(*Does)]
        staff = tuple(self.staff(f"w{number}") for number in range(1, self.random.randint(1, 3) + 1))
        orders = tuple(self.order(f"j{number}") for number in range(1, self.random.randint(1, 12) + 1))
        clients = self.random.choice([("c1",), ("c1", "c2")])
        acts = tuple(sorted(self.acts(orders, clients), key=lambda act: act.at))
        kinds = self.some(*_FAULTS) if self.random.random() < 0.85 else []  # quiet, so that nothing excuses a delay
        faults = tuple(fault for kind in kinds for fault in self.faults(kind, staff, clients, acts))
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
            Turn(Does(self.random.choice(self.behaviours)), self.seconds(self.longest), self.seconds(8))
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

    def faults(
        self, kind: str, staff: tuple[Staff, ...], clients: tuple[str, ...], acts: tuple[Act, ...]
    ) -> Iterator[Fault]:
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
                    yield Leave(process=worker, at=self.or_at_once(at), grace=self.seconds(6), restart=restart)
                case "freeze":
                    yield Freeze(process=worker, at=at, seconds=self.seconds(40))
                case "nap":
                    yield from self.nap(member, staff, self.random.choice(acts).at + self.seconds(2))
                case "drag":
                    there, back = self.random.choice([(self.seconds(4), 0.0), (0.0, self.seconds(4)), (0.0, inf)])
                    verb, lasts = self.random.choice(_DRAGGED), 1 + self.seconds(20)
                    at = self.or_at_once(at)
                    yield Drag(process=worker, at=at, seconds=lasts, verb=verb, there=there, back=back)
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
                    yield Hints(process=anybody, at=at, seconds=self.seconds(40), what=what)
                case "clock":
                    at = self.or_at_once(at)
                    yield Clock(process=anybody, at=at, by=self.random.choice([-3600.0, -1.0, 1.0, 3600.0]))

    def or_at_once(self, at: float) -> float:
        """That moment, or the first one, when a worker hardly knows anything yet."""
        return self.random.choice([0.0, at, at, at])

    def nap(self, member: Staff, staff: tuple[Staff, ...], at: float) -> Iterator[Fault]:
        """A worker wakes up when others are just about to take it for dead, or have just done so, slowly."""
        seconds = member.lease * 0.75 + self.seconds(member.lease)
        yield Freeze(process=member.name, at=at, seconds=seconds)
        if self.random.random() < 0.8:
            slow = 0.5 + self.seconds(3)
            for other in staff:
                if other is not member:
                    yield Drag(process=other.name, at=at, seconds=seconds + 4, verb="settle", there=slow)
        if self.random.random() < 0.3:
            woken = at + seconds + self.seconds(2)
            yield Leave(process=member.name, at=woken, grace=0.0, restart=self.seconds(4))


#: The calls that workers live by.
_DRAGGED: Final = ("claim", "settle", "renew", "overdue", "get")

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
    "drag",
)
