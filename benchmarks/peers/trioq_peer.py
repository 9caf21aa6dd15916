"""trioq: the defaults, and the concurrency that is asked for."""

from __future__ import annotations

import trio
from protocol import Record, Request, produce

import trioq

request = Request.read()
record = Record(request)
queue = trioq.Queue("bench", backend=request.url)


@queue.task
async def handle(number: int, at: float, load: str) -> str:
    record.begin(number, at)
    if request.sleep:
        await trio.sleep(request.sleep)
    record.end()
    return load


later = handle.options(delay=request.delay) if request.delay else handle


async def send(numbers: range) -> None:
    if request.many:
        await queue.enqueue_many(later.bind(*request.job(number)) for number in numbers)
    else:
        await later.enqueue(*request.job(numbers[0]))


async def produce_all() -> None:
    if request.url.startswith("postgresql:"):
        await queue.backend.migrate()
    async with queue:
        await produce(request, send, trio.sleep)


async def work() -> None:
    async with queue:
        if request.url == "memory:":  # no other process can bring the jobs
            for numbers in request.chunks():
                await send(numbers)
        record.watch()
        await trioq.Worker(queue, concurrency=request.concurrency).start()


trio.run({"produce": produce_all, "work": work}[request.role])
