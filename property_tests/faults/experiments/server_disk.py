"""What happens when the disk of a server is full."""

from __future__ import annotations

import base64
import random
from typing import Final

import trio

from property_tests.faults.experiment import Bar, Bench, experiment
from property_tests.faults.load import judge_with_recovery, other_errors, steady_work
from property_tests.faults.result import Result
from property_tests.faults.stores import ON_SMALL_DISKS
from property_tests.faults.stores.disk import Disk
from trioq.testing.simulation.history import Unanswered

#: What no store can make smaller, so that whatever it writes needs room at once.
_BULKY: Final = [[base64.b64encode(random.randbytes(7_500)).decode()] for _ in range(10)]


@experiment(
    promise="``enqueue`` raises `trioq.BackendUnavailable`, nothing is lost; work flows again within three seconds.",
    stores=ON_SMALL_DISKS,
    sample=2,
    goal=25,
    alone=True,
    bars=(Bar("recovery", 0.99, 3),),
)
async def the_disk_of_the_server_is_full(bench: Bench) -> Result:
    """For two seconds there is no room for one more byte on the disk of the server, and then there is again.

    A server that ends of that is restarted when there is room, as a service manager would: its *ends* are counted.
    """
    disk = bench.store.disk
    assert disk is not None
    async with steady_work(bench, 6, task="echo", arguments=_BULKY) as trial:
        trial.note_fault("full")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep_full, disk)
            await trial.until(lambda: bool(trial.all(Unanswered)), within=20)
            await trio.sleep(2)
            nursery.cancel_scope.cancel()
        await trio.to_thread.run_sync(disk.make_room)
        ended = await trio.to_thread.run_sync(bench.store.revive)
        trial.note_end_of_fault("full")
        history = await trial.history(within=60)
        return judge_with_recovery(history) + other_errors(history) + Result(counts={"ends of the server": ended})


async def _keep_full(disk: Disk) -> None:
    """What the server drops is taken, too."""
    while True:
        await trio.to_thread.run_sync(disk.fill)
        await trio.sleep(0.05)
