"""What a type checker must refuse.  An ignore that pyright finds unnecessary is an error, so each line is a test."""

from __future__ import annotations

import trio

import trioq

queue = trioq.Queue("emails", backend="memory:")


@queue.task
async def send(to: str, subject: str = "hi") -> str:
    return f"{subject}, {to}"


@queue.task
def add(a: int, b: int) -> int:
    return a + b


async def wrong_arguments() -> None:
    await send.enqueue(1)  # pyright: ignore[reportArgumentType]
    await send.enqueue()  # pyright: ignore[reportCallIssue]
    await send.enqueue("a", unknown=1)  # pyright: ignore[reportCallIssue]
    await send.options(delay=1).enqueue(1)  # pyright: ignore[reportArgumentType]
    send.bind("a", 2)  # pyright: ignore[reportArgumentType]
    add.bind("a", 2)  # pyright: ignore[reportArgumentType]
    add("a", 2)  # pyright: ignore[reportArgumentType]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send.enqueue, 1)  # pyright: ignore[reportArgumentType]


async def wrong_results() -> None:
    number: trioq.JobHandle[int] = await send.enqueue("a")  # pyright: ignore[reportAssignmentType]
    text: str = await (await add.enqueue(1, 2)).result()  # pyright: ignore[reportAssignmentType]
    call: trioq.Call[str] = add.bind(1, 2)  # pyright: ignore[reportAssignmentType]


async def wrong_options() -> None:
    send.options(delay="soon")  # pyright: ignore[reportArgumentType]
    send.options(unknown=1)  # pyright: ignore[reportCallIssue]
    queue.task(max_retries="many")  # pyright: ignore[reportArgumentType]
    trioq.Worker(queue, concurency=3)  # pyright: ignore[reportCallIssue]


async def forgotten_awaits() -> None:
    send.enqueue("a")  # pyright: ignore[reportUnusedCoroutine]
    send("a")  # pyright: ignore[reportUnusedCoroutine]
