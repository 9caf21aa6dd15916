"""Handlers for the tests of the sandbox: a module that their processes import by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from trioq._core.outcome import Reject, Retry, Snooze


class FakeTask:
    """What is left of a function once a decorator has taken its name."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.name = "a-task"


@dataclass
class Point:
    x: int
    y: int


def add(a: int, b: int = 10) -> int:
    return a + b


def mirror(point: Point) -> Point:
    return Point(point.y, point.x)


@FakeTask
def decorated(text: str) -> str:
    return text.upper()


async def sleepy(text: str) -> str:
    await trio.sleep(0.001)
    return text.upper()


def pid() -> int:
    return os.getpid()


def big(size: int) -> str:
    return "x" * size


def length(text: str) -> int:
    return len(text)


def fail(text: str) -> None:
    raise ValueError(text)


def leave(code: int) -> None:
    sys.exit(code)


def vanish(code: int) -> None:
    os._exit(code)


def crash(number: int) -> None:
    os.kill(os.getpid(), number)
    signal.pause()


def unserialisable() -> object:
    return object()


def chatter() -> str:
    print("from print")  # noqa: T201
    os.write(1, b"from fd 1\n")
    return "done"


def babble() -> None:
    """Write to every descriptor that is open, which is what a daemon library's mistake looks like."""
    for fd in range(3, 64):
        try:
            os.write(fd, b"{" * 64)
        except OSError:
            continue
    time.sleep(3600)


def end_with(signal_name: str) -> None:
    raise {"retry": Retry(7), "retry by backoff": Retry(), "snooze": Snooze(9), "reject": Reject("no such user")}[
        signal_name
    ]


async def retry_in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        raise Retry(3)


def hold(fifo: str) -> None:
    """Keep *fifo* open, here and in a process started by exec, and never return."""
    with Path(fifo).open("w") as file:
        subprocess.Popen(["sleep", "3600"], stdout=file)
        file.write("running\n")
        file.flush()
        time.sleep(3600)


def hold_and_vanish(fifo: str) -> None:
    """Leave a fork and a process with all descriptors behind that keep *fifo* open, and die."""
    with Path(fifo).open("w") as file:
        subprocess.Popen(["sleep", "3600"], stdout=file, close_fds=False)
        file.write("running\n")
        file.flush()
        if os.fork():
            os._exit(3)
        time.sleep(3600)


def fork_and_return() -> int:
    """Return in two processes: in the fork, and here, how the fork ended."""
    if (fork := os.fork()) == 0:
        return -1
    return os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])


def knock(fifo: str) -> None:
    """Wait until another process reads *fifo*, and return."""
    Path(fifo).write_text("knock")


def be_told_to_stop() -> int:
    """Get the signals of a supervisor; then what kills a fork that gets one."""
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    if (fork := os.fork()) == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(3600)
    return os.WTERMSIG(os.waitpid(fork, 0)[1])


def leave_a_process() -> int:
    subprocess.Popen(["sleep", "3600"])
    return os.getpid()


def leave_a_thread() -> int:
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return os.getpid()


def outer() -> Callable[[], None]:
    def inner() -> None: ...

    return inner
