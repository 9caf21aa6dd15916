"""Breaks a simulated world: each fault of its plan happens at its time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import assert_never

import trio

from .history import Froze, Struck, Thawed, Write
from .network import End, Wire
from .plan import EVERY_PROCESS, Clock, Crash, Fault, Freeze, Hints, Leave, Partition, Plan, SlowCall, SlowVerb
from .processes import Process, now, process_of
from .supervisor import Supervisor


class Nemesis:
    """Lets the faults of a plan happen."""

    def __init__(
        self,
        plan: Plan,
        wires: Mapping[str, Wire],
        clients: Mapping[str, End],
        supervisor: Supervisor,
        write: Write,
    ) -> None:
        self._plan = plan
        self._wires = wires
        self._clients = clients
        self._supervisor = supervisor
        self._write = write

    async def break_things(self) -> None:
        """Let every fault happen at its time; runs until it is cancelled."""
        with _counting(self._plan, self._crash):
            async with trio.open_nursery() as nursery:
                for fault in self._plan.faults:
                    nursery.start_soon(self._strike, fault)
                await trio.sleep_forever()

    def heal(self) -> None:
        """Undo all that lasts."""
        for wire in self._wires.values():
            wire.heal()
        for life in self._supervisor.lives:
            self._thaw(life.process)

    async def _strike(self, fault: Fault) -> None:
        if isinstance(fault, SlowCall) or fault.at == inf:
            return  # it waits on the wire, or at a step
        await trio.sleep_until(fault.at)
        match fault:
            case Crash():
                self._crash(fault)
            case Leave():
                self._leave(fault)
            case Freeze():
                await self._freeze(fault)
            case SlowVerb():
                await self._slow_down(fault)
            case Partition():
                await self._partition(fault)
            case Hints():
                await self._tamper(fault)
            case Clock():
                self._set_clock(fault)
            case _:
                assert_never(fault)

    def _crash(self, fault: Crash) -> None:
        life = self._supervisor.at_work.get(fault.process)
        if life is not None and not life.process.dead:
            self._wires[fault.process].restart = fault.restart
            life.process.kill()

    def _leave(self, fault: Leave) -> None:
        life = self._supervisor.at_work.get(fault.process)
        if life is not None and not life.process.dead:
            self._write(Struck(now(), life.process.name, fault))
            self._wires[fault.process].restart = fault.restart
            self._supervisor.stop(life, fault.grace)

    async def _freeze(self, fault: Freeze) -> None:
        life = self._supervisor.at_work.get(fault.process)
        if life is not None and not life.process.dead:
            self._write(Froze(now(), life.process.name))
            life.process.freeze()
            await trio.sleep(fault.seconds)
            self._thaw(life.process)

    def _thaw(self, process: Process) -> None:
        if process.frozen and not process.dead:
            process.thaw()
            self._write(Thawed(now(), process.name))

    async def _slow_down(self, fault: SlowVerb) -> None:
        self._write(Struck(now(), fault.process, fault))
        slow_verbs = self._wires[fault.process].slow_verbs
        slow_verbs.append(fault)
        await trio.sleep(fault.seconds)
        slow_verbs.remove(fault)

    async def _partition(self, fault: Partition) -> None:
        self._write(Struck(now(), fault.process, fault))
        names = list(self._wires) if fault.process == EVERY_PROCESS else [fault.process]
        for name in names:
            self._wires[name].partitions.append(fault)
            end = self._end(name)
            if end is not None and not fault.silent:
                end.connection.snap()
        await trio.sleep(fault.seconds)
        for name in names:
            self._wires[name].partitions.remove(fault)

    async def _tamper(self, fault: Hints) -> None:
        self._write(Struck(now(), fault.process, fault))
        hint_faults = self._wires[fault.process].hint_faults
        hint_faults.append(fault.what)
        await trio.sleep(fault.seconds)
        hint_faults.remove(fault.what)

    def _set_clock(self, fault: Clock) -> None:
        self._write(Struck(now(), fault.process, fault))
        self._wires[fault.process].skew += fault.by
        end = self._end(fault.process)
        if end is not None:
            end.process.skew = self._wires[fault.process].skew

    def _end(self, name: str) -> End | None:
        return self._clients.get(name) or self._supervisor.at_work.get(name)


class _Steps(trio.abc.Instrument):
    """Counts the steps of the processes of each worker, and crashes one at the step that a fault names."""

    def __init__(self, plan: Plan, crash: Callable[[Crash], None]) -> None:
        crashes = [fault for fault in plan.faults if isinstance(fault, Crash) and fault.step is not None]
        self._crashes = {(fault.process, fault.step): fault for fault in crashes}
        self._crash = crash
        self._steps: Counter[str] = Counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        process = process_of(task)
        if process is not None and not process.dead:
            name = process.name.partition(".")[0]
            self._steps[name] += 1
            fault = self._crashes.get((name, self._steps[name]))
            if fault is not None:
                self._crash(fault)


@contextmanager
def _counting(plan: Plan, crash: Callable[[Crash], None]) -> Iterator[None]:
    if not any(isinstance(fault, Crash) and fault.step is not None for fault in plan.faults):
        yield
        return
    steps = _Steps(plan, crash)
    trio.lowlevel.add_instrument(steps)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(steps)
