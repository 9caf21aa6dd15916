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
from .plan import EVERY_PROCESS, TICK, Operation, Plan, Verb
from .processes import EPOCH, Process, now, processes, repeatable_scheduling, wall_clocks
from .recorder import EventRecorder, Recorder
from .server import Server
from .supervisor import Supervisor, last_words

#: Seconds after the last fault within which everything must have ended, beside what handlers and dead workers take.
LONGEST: Final = 180.0

#: Seconds that a request may still be on its way when the faults have stopped.
ON_THE_WAY: Final = 15.0


def simulate(plan: Plan, make: Make) -> SimulatedHistory:
    """Run *plan* over the store that *make* answers, and answer its history."""
    with _loaded_dice(plan.seed), repeatable_scheduling(plan.seed), wall_clocks(), last_words() as said:
        return trio.run(_simulate, plan, make, said, clock=MockClock(autojump_threshold=0))


@contextmanager
def _loaded_dice(seed: int) -> Iterator[None]:
    """Make the random numbers of workers the same for the same seed: for jitter, and for their identities."""
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
    backend, recorder = make(), Recorder()
    with processes():
        async with backend, event_emitter.listening(EventRecorder(recorder.write)), trio.open_nursery() as nursery:
            await _check_clock(backend)
            server = Server(backend, nursery, recorder.write)
            world = _World(plan, server, nursery, recorder.write, last_words)
            try:
                drained = await world.live()
                async with server.lock:  # nothing changes any more between the last entry and this read
                    records = await _read(backend, plan)
                    recorder.close()
            finally:
                world.bury()
            nursery.cancel_scope.cancel()
    entries = tuple(recorder.entries)
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
class _ClientProcess(End):
    """A client in its process."""

    client: Client


class _World:
    """The processes of a world, and its course from the first step to the last."""

    def __init__(
        self, plan: Plan, server: Server, nursery: trio.Nursery, write: Write, last_words: Mapping[str, str]
    ) -> None:
        self._plan = plan
        self._server = server
        self._nursery = nursery
        self._write = write
        self._open_operations = Counter(operation.verb for operation in plan.operations)
        dice = Random(plan.seed)
        wires = {name: Wire(plan.faults_of(name), dice) for name in (*plan.workers, *plan.clients)}
        handlers = Handlers(plan.job_specs, write)
        self._clients = {name: self._client(name, wires[name], handlers) for name in plan.clients}
        self._supervisor = Supervisor(server, wires, handlers, nursery, write, last_words)
        self._nemesis = Nemesis(plan, wires, self._clients, self._supervisor, write)

    def _client(self, name: str, wire: Wire, handlers: Handlers) -> _ClientProcess:
        process = Process(name)
        connection = Connection(self._server, wire, process, PATIENCE, self._write)
        queues = {queue: handlers.queue(queue, connection) for queue in self._plan.queues}
        return _ClientProcess(process, connection, Client(process, queues, self._plan.job_specs, self._write))

    async def live(self) -> bool:
        """Run the world until the end of its plan; answers whether everything has ended by then."""
        self._begin()
        with trio.move_on_after(self._plan.horizon):
            await self._nemesis.break_things()
        return self._plan.heals and await self._end_well()

    def bury(self) -> None:
        """End all processes, the dead ones, too."""
        for end in (*self._supervisor.lives, *self._clients.values()):
            end.close()

    # --- while things break ---

    def _begin(self) -> None:
        for client in self._clients.values():
            client.process.start_soon(self._nursery, self._act_in_time, client)
        for spec in self._plan.worker_specs:
            self._nursery.start_soon(self._supervisor.keep, spec)

    async def _act_in_time(self, client: _ClientProcess) -> None:
        operations = [operation for operation in self._plan.operations if operation.by == client.process.name]
        async with client.client, trio.open_nursery() as nursery:
            for operation in operations:
                nursery.start_soon(self._operate, client.client, operation)
            await trio.sleep_forever()

    async def _operate(self, client: Client, operation: Operation) -> None:
        await trio.sleep_until(operation.at)
        await client.do(operation)
        self._open_operations[operation.verb] -= 1

    # --- the end ---

    async def _end_well(self) -> bool:
        """Stop the faults, wait for all work, and stop the workers; answers whether the work was done in time."""
        self._nemesis.heal()
        await self._recover(self._clients["c1"])
        drained = await self._drain()
        await self._stop_workers()
        return drained

    async def _recover(self, client: _ClientProcess) -> None:
        """Wait for requests that are under way, and resume paused queues: then nothing is wrong any more."""
        await self._until(self._all_asked, LONGEST)
        await trio.sleep(ON_THE_WAY)
        await client.client.do(Operation(trio.current_time(), client.process.name, Verb.RESUME, self._plan.queues))
        self._write(Healed(now(), EVERY_PROCESS))

    def _all_asked(self) -> bool:
        return not any(left for verb, left in self._open_operations.items() if verb is not Verb.RESULT)

    async def _drain(self) -> bool:
        plan, records = self._plan, self._server.records
        handlers = sum(run_spec.after + run_spec.delay for spec in plan.job_specs for run_spec in spec.runs)
        deaths = sum(spec.max_crashes for spec in plan.job_specs) * 2 * max(spec.lease for spec in plan.worker_specs)
        return await self._until(
            lambda: not self._open_operations.total() and all(job.state.final for job in records.values()),
            LONGEST + handlers + deaths,
        )

    async def _stop_workers(self) -> None:
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
