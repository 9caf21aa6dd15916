"""What each peer's program is asked, and what it answers.  No queue is known here, nor trioq: it runs in any of them.

A program gets one request as JSON in its first argument, and is either a producer or a worker:

- a producer prepares the store if it is new, enqueues, prints ``{"enqueued": n, "begun": t, "ended": t, "cpu": t}``
  and ends;
- a worker prints ``{"ready": true}`` when it is about to run, and once its jobs are over what it saw of them.

Who can't do what is asked prints ``{"unsupported": "why"}``.  All times are seconds of the machine's monotonic clock,
which its processes share.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from string import ascii_letters, digits
from typing import NoReturn

#: Jobs in one request of a producer that sends many.
CHUNK = 1_000

#: Calls that are under way at a time, where there is no bulk API.
SENDERS = 32

#: What jobs carry: it can't be compressed.
_TEXT = "".join(random.Random(0).choices(ascii_letters + digits, k=100_000))


@dataclass(frozen=True)
class Request:
    """What a program shall do."""

    role: str  #: "produce" or "work"
    url: str  #: the store
    jobs: int  #: a producer's; and all that a worker will see, with those that other workers take
    concurrency: int = 100
    many: bool = True  #: enqueue in chunks, or one at a time, each when the one before is stored
    size: int = 0  #: bytes of text that a job brings, and returns
    sleep: float = 0.0  #: seconds that a handler sleeps
    delay: float = 0.0  #: seconds from enqueue until a job is due
    gap: float = 0.0  #: seconds between two jobs, for workers that shall be idle when each arrives
    rest: bool = False  #: more wait than `jobs`: a worker ends when it ran so many, whatever else it has begun
    quiet: float = 30.0  #: seconds without a job after which a worker takes the rest to be another worker's
    arguments: dict[str, str] = field(default_factory=dict)  #: what only one peer understands

    @classmethod
    def read(cls) -> Request:
        """The one that this program was given."""
        return cls(**json.loads(sys.argv[1]))

    def job(self, number: int) -> tuple[int, float, str]:
        """A handler's arguments: its number, when it should start, and its load.  Made right before it is sent."""
        return number, time.monotonic() + self.delay, _TEXT[: self.size]

    def chunks(self) -> Iterator[range]:
        """The numbers of the jobs that go at once."""
        size = CHUNK if self.many else 1
        for first in range(0, self.jobs, size):
            yield range(first, min(first + size, self.jobs))


async def produce(
    request: Request, send: Callable[[range], Awaitable[object]], sleep: Callable[[float], Awaitable[object]]
) -> None:
    """Send all chunks, with their gaps, and say how long it took: ``send(numbers)`` returns once they are stored."""
    begun, cpu = time.monotonic(), time.process_time()
    for numbers in request.chunks():
        await send(numbers)
        if request.gap:
            await sleep(request.gap)
    say(enqueued=request.jobs, begun=begun, ended=time.monotonic(), cpu=time.process_time() - cpu)


async def side_by_side(numbers: range, send: Callable[[int], Awaitable[object]]) -> None:
    """For peers on asyncio that have no bulk API: send each by itself, and `SENDERS` at a time."""
    import asyncio

    left = iter(numbers)

    async def sender() -> None:
        for number in left:
            await send(number)

    await asyncio.gather(*(sender() for _ in range(min(SENDERS, len(numbers)))))


class Record:
    """What a worker's handlers did: each calls `begin`, sleeps if it is asked to, calls `end` and returns its load."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.numbers: list[int] = []
        self.late: list[float] = []  #: seconds from when a job should have started to its handler's first line
        self.begun = self.ended = self._ready = 0.0
        self._cpu_begun = self._cpu_ended = 0.0

    def begin(self, number: int, at: float) -> None:
        """A handler's first line."""
        now = time.monotonic()
        if not self.numbers:
            self.begun, self._cpu_begun = now, time.process_time()
        self.numbers.append(number)
        self.late.append(now - at)

    def end(self) -> None:
        """A handler's last line."""
        self.ended = time.monotonic()

    def watch(self) -> None:
        """Say that this worker is ready; from now on a thread checks whether its jobs are over, answers and exits.

        It waits a little longer than it must, so that outcomes are settled, and a job that comes twice is seen.
        """
        self._ready = time.monotonic()
        say(ready=True)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> NoReturn:
        seen = 0
        while True:
            time.sleep(0.02 if seen else 0.25)  # an idle worker is left alone
            if len(self.numbers) != seen:
                seen, self._cpu_ended = len(self.numbers), time.process_time()
            complete = seen >= self.request.jobs
            wanted = self.request.quiet if not complete else 0.0 if self.request.rest else 0.5
            if time.monotonic() - (self.ended or self._ready) > wanted:
                cpu = self._cpu_ended - self._cpu_begun
                when = {"begun": self.begun, "ended": self.ended, "late": self.late}
                say(numbers=self.numbers, **when, cpu=cpu, memory=peak_memory())
                os._exit(0)


def peak_memory() -> int:
    """Bytes that this process has had at the most.  What getrusage says of it began with its parent's."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def say(**answer: object) -> None:
    """Print one line."""
    print(json.dumps(answer), flush=True)


def unsupported(why: str) -> NoReturn:
    """End: this peer can't do what is asked."""
    say(unsupported=why)
    raise SystemExit
