"""The application whose handlers are tested: two tasks, one of which enqueues the other."""

import trioq

DAY = 24 * 60 * 60

queue = trioq.Queue("signup")  # its store is what the settings say

sent: list[str] = []  # stands for a mail server


@queue.task(max_retries=3, backoff=trioq.Steps([60, 3600, DAY]))
async def send(to: str, text: str) -> None:
    if to.startswith("flaky") and trioq.current_job().attempt < 3:
        raise ConnectionError("the server is busy")
    sent.append(f"{text} {to}")


@queue.task
async def sign_up(name: str) -> None:
    await send.enqueue(name, "welcome")
    await send.options(delay=30 * DAY).enqueue(name, "still there?")
