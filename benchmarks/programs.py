"""The programs of the contenders as processes: started, asked, listened to, ended.  What is asked is told elsewhere."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Timer
from typing import IO, Any, Final

from benchmarks.peers.protocol import Request

from .signals import undisturbed

#: Seconds that a program has from its start to its end: one that hangs is killed, and its trial has failed.
PATIENCE: Final = 300.0

Answer = dict[str, Any]


class Unsupported(Exception):
    """A contender can't do what a workload asks."""


class Failed(Exception):
    """A program did not answer, or not what it must."""


class Program:
    """One that runs."""

    def __init__(self, command: Sequence[str | Path], request: Request, errors: IO[str]) -> None:
        self._errors = errors
        self._process = subprocess.Popen(
            [*command, json.dumps(asdict(request))], stdout=subprocess.PIPE, stderr=errors, text=True
        )
        self._alarm = Timer(PATIENCE, self._process.kill)
        self._alarm.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def answer(self) -> Answer:
        """Its next line."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # others print what they like
                answer: Answer = json.loads(line)
                if "unsupported" in answer:
                    raise Unsupported(answer["unsupported"])
                return answer
        self._errors.seek(0)
        raise Failed(self._errors.read().strip()[-2_000:] or "it ended without an answer, or was too slow")

    def wait(self) -> None:
        """Wait until it ended by itself."""
        self._process.wait()

    def end(self) -> None:
        """End it, if it still runs."""
        self._alarm.cancel()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def running(command: Sequence[str | Path], request: Request) -> Iterator[Program]:
    """A program that is ended with the block."""
    with tempfile.TemporaryFile("w+") as errors, ExitStack() as stack:
        with undisturbed():
            program = Program(command, request, errors)
            stack.callback(undisturbed()(program.end))
        yield program
