"""Two handlers on a bad day: one of them charges twice."""

import trio
import trioq
from trio.testing import MockClock
from trioq.testing import ChaosBackend, assert_idempotent

queue = trioq.Queue("payments", backend="memory:")
ledger: list[tuple[str, int]] = []


@queue.task
async def charge(order: str, cents: int) -> None:
    ledger.append((order, cents))
    await trio.sleep(0.2)  # write to the customer


@queue.task
async def charge_once(order: str, cents: int) -> None:
    if (order, cents) not in ledger:
        ledger.append((order, cents))
    await trio.sleep(0.2)


async def crash() -> None:
    for task in (charge, charge_once):
        try:
            await assert_idempotent(task, "order-7", 3000, observe=lambda: ledger, reset=ledger.clear)
            print(f"{task.name} can be run again after any crash")
        except AssertionError as error:
            print(error)


async def order(name: str) -> trioq.JobHandle[None]:
    while True:
        try:
            return await charge_once.options(id=name).enqueue(name, 3000)  # with an id, it can be tried again
        except trioq.BackendUnavailable:
            await trio.sleep(0.1)


async def bad_day() -> None:
    queue.backend = chaos = ChaosBackend(trioq.InMemoryBackend(), seed=7, rate=0.3)
    ledger.clear()
    async with queue, trio.open_nursery() as nursery:
        worker = trioq.Worker(queue)
        nursery.start_soon(worker.start)
        jobs = [await order(f"order-{number}") for number in range(100)]
        chaos.calm()
        for job in jobs:
            await job.result()
        worker.stop()
    print("went wrong:", len(chaos.faults), "calls and hints, the first one:", chaos.faults[0])
    print(f"{len(jobs)} orders, {len(ledger)} charges")


trio.run(crash)
trio.run(bad_day, clock=MockClock(autojump_threshold=0))
