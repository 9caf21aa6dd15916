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

from ..._bus import event_emitter
from ..._core.job import Job
from ...backends._base import PATIENCE, Backend, Filter
from .._given import Make
from .clients import Client, Handlers
from .history import Broke, Healed, SimulatedHistory, Write
from .nemesis import Nemesis
from .network import Connection, End, Wire
from .plan import EVERYBODY, TICK, Act, Plan, Verb
from .processes import EPOCH, Process, now, processes, repeatable_scheduling, wall_clocks
from .recorder import Chronicle, Ear
from .server import Server
from .supervisor import Supervisor, last_words

#: Seconds after the last fault within which everything must have ended, beside what handlers and dead workers take.
LONGEST: Final = 180.0

#: Seconds that a request may still be on its way when the faults have stopped.
ON_THE_WAY: Final = 15.0


def simulate(plan: Plan, make: Make) -> SimulatedHistory:
    """What happens when *plan* comes true over the store that *make* answers."""
    with _loaded_dice(plan.seed), repeatable_scheduling(plan.seed), wall_clocks(), last_words() as said:
        return trio.run(_simulate, plan, make, said, clock=MockClock(autojump_threshold=0))


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


async def _simulate(plan: Plan, make: Make, last_words: Mapping[str, str]) -> SimulatedHistory:
    """A world from its beginning to its end, and down to its last task."""
    backend, chronicle = make(), Chronicle()
    with processes():
        async with backend, event_emitter.listening(Ear(chronicle.write)), trio.open_nursery() as nursery:
            await _check_clock(backend)
            server = Server(backend, nursery, chronicle.write)
            world = _World(plan, server, nursery, chronicle.write, last_words)
            try:
                drained = await world.live()
                async with server.turn:  # nothing changes any more between the last entry and the last look
                    records = await _read(backend, plan)
                    chronicle.close()
            finally:
                world.bury()
            nursery.cancel_scope.cancel()
    entries = tuple(chronicle.entries)
    return SimulatedHistory(plan=plan, began=EPOCH, entries=entries, records=records, drained=drained)


async def _check_clock(backend: Backend) -> None:
    told = (await backend.get("a", [])).now
    if abs(told - now()) > TICK / 2:
        raise ValueError(
            "a world needs a store whose clock reads time.time() when it is opened and then goes with Trio's: "
            f"it says {told!r} where time.time() says {now()!r}. Call it as time.time(), for worlds replace that"
        )


async def _read(backend: Backend, plan: Plan) -> dict[str, Job]:
    pages = [await backend.find(Filter(queue=queue)) for queue in plan.queues]
    return {job.id: job for page in pages for job in page.jobs}


@attrs.frozen(eq=False)
class _Person(End):
    """A client."""

    client: Client


class _World:
    """Who is in a world, and what they live through."""

    def __init__(
        self, plan: Plan, server: Server, nursery: trio.Nursery, write: Write, last_words: Mapping[str, str]
    ) -> None:
        self._plan = plan
        self._server = server
        self._nursery = nursery
        self._write = write
        self._open_acts = Counter(act.verb for act in plan.acts)
        dice = Random(plan.seed)
        wires = {name: Wire(plan.faults_of(name), dice) for name in (*plan.workers, *plan.clients)}
        handlers = Handlers(plan.orders, write)
        self._people = {name: self._person(name, wires[name], handlers) for name in plan.clients}
        self._supervisor = Supervisor(server, wires, handlers, nursery, write, last_words)
        self._nemesis = Nemesis(plan, wires, self._people, self._supervisor, write)

    def _person(self, name: str, wire: Wire, handlers: Handlers) -> _Person:
        process = Process(name)
        connection = Connection(self._server, wire, process, PATIENCE, self._write)
        queues = {queue: handlers.queue(queue, connection) for queue in self._plan.queues}
        return _Person(process, connection, Client(process, queues, self._plan.orders, self._write))

    async def live(self) -> bool:
        """From the first step until the end that the plan has for it; whether everything has ended by then."""
        self._begin()
        with trio.move_on_after(self._plan.horizon):
            await self._nemesis.break_things()
        return self._plan.heals and await self._end_well()

    def bury(self) -> None:
        """Let the processes end, the dead ones, too."""
        for end in (*self._supervisor.lives, *self._people.values()):
            end.close()

    # --- while things break ---

    def _begin(self) -> None:
        for person in self._people.values():
            person.process.start_soon(self._nursery, self._act_in_time, person)
        for staff in self._plan.staff:
            self._nursery.start_soon(self._supervisor.keep, staff)

    async def _act_in_time(self, person: _Person) -> None:
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

    async def _end_well(self) -> bool:
        """Let nothing break any more, all work be done, and everybody go home; whether the work is done in time."""
        self._nemesis.heal()
        await self._recover(self._people["c1"])
        drained = await self._drain()
        await self._go_home()
        return drained

    async def _recover(self, person: _Person) -> None:
        """Let what is under way arrive, and resume what is paused: then nothing is wrong any more."""
        await self._until(self._all_asked, LONGEST)
        await trio.sleep(ON_THE_WAY)
        await person.client.do(Act(trio.current_time(), person.process.name, Verb.RESUME, self._plan.queues))
        self._write(Healed(now(), EVERYBODY))

    def _all_asked(self) -> bool:
        return not any(left for verb, left in self._open_acts.items() if verb is not Verb.RESULT)

    async def _drain(self) -> bool:
        plan, records = self._plan, self._server.records
        handlers = sum(turn.after + turn.delay for order in plan.orders for turn in order.turns)
        deaths = sum(order.max_crashes for order in plan.orders) * 2 * max(staff.lease for staff in plan.staff)
        return await self._until(
            lambda: not self._open_acts.total() and all(job.state.final for job in records.values()),
            LONGEST + handlers + deaths,
        )

    async def _go_home(self) -> None:
        at_work = self._supervisor.at_work
        self._supervisor.close()
        if not await self._until(lambda: not at_work, LONGEST):
            for life in at_work.values():
                self._write(Broke(now(), life.process.name, f"it did not stop within {LONGEST:g} s"))

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = trio.current_time() + seconds
        while not condition():
            if trio.current_time() > deadline:
                return False
            await trio.sleep(1)
        return True
