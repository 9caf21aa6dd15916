"""One simulated world: real workers and clients over a real store, in one ``trio.run``, as a plan says.

`simulate` is repeatable: the same plan makes the same history, to the last step of the scheduler.
"""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Final

import attrs
import trio
from trio.testing import MockClock

from ..._bus import Subscription, event_emitter
from ..._core.events import Event
from ..._core.job import Job
from ...backends._base import PATIENCE, Backend, Filter
from .history import Broke, Entry, Healed, History, Told
from .nemesis import Nemesis
from .network import Connection, Server, Wire
from .people import Client, Handlers
from .plan import EVERYBODY, TICK, Act, Crash, Plan, Slip, Verb
from .processes import EPOCH, Process, current_process, now, processes, repeatable_scheduling, wall_clocks
from .staff import Life, Supervisor, last_words

#: Seconds after the last fault within which everything must have ended, beside what handlers and dead workers take.
LONGEST: Final = 180.0

#: Seconds that a request may still be on its way when the faults have stopped.
ON_THE_WAY: Final = 15.0

Make = Callable[[], Backend]


def simulate(plan: Plan, make: Make) -> History:
    """What happens when *plan* comes true over the store that *make* answers."""
    with _loaded_dice(plan.seed), repeatable_scheduling(plan.seed), wall_clocks(), last_words() as said:
        return trio.run(_World(plan).run, make, said, clock=MockClock(autojump_threshold=0))


@contextmanager
def _loaded_dice(seed: int) -> Iterator[None]:
    """Let the dice of workers fall the same way for the same seed: those of jitter, and those of their identities."""
    dice, token = random.getstate(), secrets.token_hex
    random.seed(seed)
    secrets.token_hex = lambda nbytes=None: random.randbytes(nbytes or 8).hex()
    try:
        yield
    finally:
        random.setstate(dice)
        secrets.token_hex = token


@attrs.frozen(eq=False)
class _Person:
    """A client at its end of a wire."""

    process: Process
    connection: Connection
    client: Client


class _World:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._queues = sorted(
            {queue for staff in plan.staff for queue in staff.queues} | {order.queue for order in plan.orders}
        )
        self._entries: list[Entry] = []
        self._over = False
        self._open_acts = Counter(act.verb for act in plan.acts)

    def _write(self, entry: Entry) -> None:
        """Note what happened, unless a dead man says so."""
        process = current_process()
        if not self._over and (process is None or not process.dead):
            self._entries.append(entry)

    async def run(self, make: Make, last_words: Mapping[str, str]) -> History:
        """From the beginning to the end."""
        plan, backend, drained = self._plan, make(), False
        handlers, dice = Handlers(plan.orders, self._write), Random(plan.seed)
        names = [staff.name for staff in plan.staff]
        clients = sorted({"c1", *(each.by for each in plan.acts), *_hurt(plan)} - {EVERYBODY, *names})
        wires = {name: _wire(plan, name, dice) for name in [*names, *clients]}
        with processes():
            async with backend, event_emitter.listening(_Ear(self._write)), trio.open_nursery() as nursery:
                _check_clock((await backend.get(self._queues[0], [])).now)
                server = Server(backend, nursery, self._write)
                supervisor = Supervisor(server, wires, handlers, nursery, self._write, last_words)
                people = {name: self._person(name, server, wires[name], handlers) for name in clients}
                for person in people.values():
                    person.process.start_soon(nursery, self._live, person)
                for staff in plan.staff:
                    nursery.start_soon(supervisor.keep, staff)
                nemesis = Nemesis(
                    plan,
                    wires,
                    {name: (person.process, person.connection) for name, person in people.items()},
                    supervisor,
                    self._write,
                )
                try:
                    with trio.move_on_after(plan.horizon):
                        await nemesis.break_things()
                    if plan.heals:
                        nemesis.heal()
                        await self._recover(people["c1"])
                        drained = await self._drain(server)
                        await self._go_home(supervisor)
                    async with server.turn:  # nothing changes any more between the last entry and the last look
                        records = await self._read(backend)
                        self._over = True
                finally:
                    for process, connection in [*map(_ends, supervisor.lives), *map(_ends, people.values())]:
                        connection.close()
                        process.bury()
                nursery.cancel_scope.cancel()
        return History(plan=plan, began=EPOCH, entries=tuple(self._entries), records=records, drained=drained)

    # --- clients ---

    def _person(self, name: str, server: Server, wire: Wire, handlers: Handlers) -> _Person:
        process = Process(name)
        connection = Connection(server, wire, process, PATIENCE, self._write)
        queues = {queue: handlers.queue(queue, connection) for queue in self._queues}
        return _Person(process, connection, Client(process, queues, self._plan.orders, self._write))

    async def _live(self, person: _Person) -> None:
        acts = [act for act in self._plan.acts if act.by == person.process.name]
        async with person.client, trio.open_nursery() as nursery:
            for act in acts:
                nursery.start_soon(self._act, person.client, act)
            await trio.sleep_forever()

    async def _act(self, client: Client, act: Act) -> None:
        await trio.sleep_until(act.at)
        await client.do(act)
        self._open_acts[act.verb] -= 1

    # --- the end ---

    async def _recover(self, person: _Person) -> None:
        """Let what is under way arrive, and resume what is paused: then nothing is wrong any more."""
        await self._until(self._all_asked, LONGEST)
        await trio.sleep(ON_THE_WAY)
        await person.client.do(Act(trio.current_time(), person.process.name, Verb.RESUME, tuple(self._queues)))
        self._write(Healed(now(), EVERYBODY))

    def _all_asked(self) -> bool:
        return not any(left for verb, left in self._open_acts.items() if verb is not Verb.RESULT)

    async def _drain(self, server: Server) -> bool:
        """Whether everything ends in time."""
        plan = self._plan
        handlers = sum(turn.after + turn.delay for order in plan.orders for turn in order.turns)
        deaths = sum(order.max_crashes for order in plan.orders) * 2 * max(staff.lease for staff in plan.staff)
        return await self._until(
            lambda: not self._open_acts.total() and all(job.state.final for job in server.records.values()),
            LONGEST + handlers + deaths,
        )

    async def _go_home(self, supervisor: Supervisor) -> None:
        supervisor.close()
        if not await self._until(lambda: not supervisor.at_work, LONGEST):
            for life in supervisor.at_work.values():
                self._write(Broke(now(), life.process.name, f"it did not stop within {LONGEST:g} s"))

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = trio.current_time() + seconds
        while not condition():
            if trio.current_time() > deadline:
                return False
            await trio.sleep(1)
        return True

    async def _read(self, backend: Backend) -> dict[str, Job]:
        pages = [await backend.find(Filter(queue=queue)) for queue in self._queues]
        return {job.id: job for page in pages for job in page.jobs}


def _check_clock(told: float) -> None:
    if abs(told - now()) > TICK / 2:
        raise ValueError(
            "a world needs a store whose clock reads time.time() when it is opened and then goes with Trio's: "
            f"it says {told!r} where time.time() says {now()!r}. Call it as time.time(), for worlds replace that"
        )


def _hurt(plan: Plan) -> set[str]:
    return {fault.process for fault in plan.faults}


def _ends(somebody: Life | _Person) -> tuple[Process, Connection]:
    return somebody.process, somebody.connection


def _wire(plan: Plan, name: str, dice: Random) -> Wire:
    mine = [fault for fault in plan.faults if fault.process == name]
    slips = [fault for fault in mine if isinstance(fault, Slip)]
    return Wire(slips, [fault for fault in mine if isinstance(fault, Crash)], dice)


class _Ear(Subscription):
    """Hears each event at the moment at which, and in the process in which, it is told."""

    def __init__(self, write: Callable[[Entry], None]) -> None:
        super().__init__("*", 1)
        self._note = write

    def put(self, event: Event) -> None:
        process = current_process()
        self._note(Told(now(), "?" if process is None else process.name, event))
