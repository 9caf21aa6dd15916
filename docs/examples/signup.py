"""The application whose handlers are tested: two tasks, one of which enqueues the other."""

import trioq

HOUR = 3600

queue = trioq.Queue("signup")  # in the store that the settings name

sent: list[str] = []  # stands for a mail server


@queue.task(max_retries=3, backoff=trioq.Steps([10, 60, HOUR]))
async def send(to: str, text: str) -> None:
    if to.startswith("flaky") and trioq.current_job().attempt < 3:
        raise ConnectionError("the server is busy")
    sent.append(f"{text} {to}")


@queue.task
async def sign_up(name: str) -> None:
    await send.enqueue(name, "welcome")
    await send.options(delay=HOUR).enqueue(name, "still there?")
