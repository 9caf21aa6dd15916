"""An application for the worker command.  Its store is the one in TRIOQ_BACKEND."""

from __future__ import annotations

import trio

import trioq

queue = trioq.Queue("greetings")


@queue.task
async def greet(name: str) -> str:
    await trio.sleep(0.01)
    return f"hello {name}"


worker = trioq.Worker(queue, concurrency=7, grace=7, name="of-the-application")
