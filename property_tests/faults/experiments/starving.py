"""Workers that hardly get the CPU that they ask for, and whether the promised times hold then."""

from __future__ import annotations

from typing import Final

from property_tests.faults.cpu_load import cpu_load_on_every_core
from property_tests.faults.experiment import Bar, Bench, experiment
from property_tests.faults.experiments.killing import restart
from property_tests.faults.result import Result
from property_tests.faults.stores import EVERY

#: Other programs that compute without a pause, for each core.
_PROGRAMS: Final = 4


@experiment(
    promise="No healthy worker is taken for dead, and the jobs of the dead begin elsewhere within 20 s.",
    stores=EVERY,
    sample=1,
    goal=10,
    at_once=1,
    bars=(Bar("restart", 0.99, 20),),
)
async def workers_killed_on_a_starved_machine(bench: Bench) -> Result:
    """Ten workers with default settings are killed at once, and one is left, which hardly gets the CPU that it needs.

    On each core four other programs compute all the time.
    """
    async with cpu_load_on_every_core(_PROGRAMS):
        return await restart(bench, lease=15, victims=3 if bench.quick else 10)
