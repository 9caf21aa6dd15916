"""What handlers share: a pool of connections, made before the first claim and closed after the last settle."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trioq

queue = trioq.Queue("orders", backend="memory:")


class Connection:
    """Stands for one to a database."""

    async def total(self, order: int) -> int:
        await trio.sleep(0.01)
        return 10 * order


class Pool:
    """Connections that handlers borrow, one each; a handler that finds none waits."""

    def __init__(self, size: int) -> None:
        self._back, self._free = trio.open_memory_channel[Connection](size)
        for _ in range(size):
            self._back.send_nowait(Connection())

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Connection]:
        connection = await self._free.receive()
        try:
            yield connection
        finally:  # also when the job is cancelled
            self._back.send_nowait(connection)


@asynccontextmanager
async def lifespan(worker: trioq.Worker) -> AsyncIterator[Pool]:
    print(f"{worker.name}: opening 2 connections")
    yield Pool(2)
    print(f"{worker.name}: closing them")


@queue.task
async def bill(order: int) -> int:
    pool: Pool = trioq.current_job().resources
    async with pool.borrow() as connection:
        return await connection.total(order)


worker = trioq.Worker(queue, name="billing", concurrency=10, lifespan=lifespan)


async def main() -> None:
    async with queue:
        jobs = await queue.enqueue_many(bill.bind(order) for order in range(5))
        await worker.run_until_idle()
        print("totals:", [await job.result() for job in jobs])


trio.run(main)
