"""Forks the processes of a trial, all of them warm, and none of them outlives it.

Asked with a line of JSON, it answers ``started PID``, and at some time ``ended PID CODE``.  When its input ends,
because the process that asks has died, it kills all that still run.  To import everything takes half a second; to
fork does not.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

import trioq.backends.postgres.connection
import trioq.backends.redis.client
import trioq.backends.sqlite  # noqa: F401  all imported before the first fork

from .journal import Journal
from .producer import ProducerConfig, run_producer
from .worker import WorkerConfig, run_worker

_ROLES: Final[dict[str, tuple[Callable[..., Any], Callable[[Any, Journal], None]]]] = {
    "worker": (WorkerConfig, run_worker),
    "producer": (ProducerConfig, run_producer),
}

_children: set[int] = set()

#: Signals that a whole group of processes gets are for the process that asks: its end is ours.
_NOT_OURS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Linux: be sent a signal when one's parent has died, however that came.
_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGCHLD, _reap)
    for number in _NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # no process ends before it is noted as started
        pid = os.fork()
        if pid == 0:
            _be(json.loads(line))
        _children.add(pid)
        _say(f"started {pid}")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for pid in list(_children):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = ended
            _children.discard(pid)
            _say(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _say(words: str) -> None:
    with suppress(BrokenPipeError):
        os.write(1, f"{words}\n".encode())


def _be(config: dict[str, Any]) -> NoReturn:
    """Become a process of the trial."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGCHLD, *_NOT_OURS):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(config["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for ours, theirs in ((0, nothing), (1, nothing), (2, log)):
        os.dup2(theirs, ours)
    code = 1
    try:
        kind, run = _ROLES[config["role"]]
        faulthandler.enable()
        _log_to_stderr(config["who"])
        run(kind(**config["config"]), Journal(config["journal"], config["who"]))
        code = 0
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def _log_to_stderr(who: str) -> None:
    logging.basicConfig(format=f"%(asctime)s.%(msecs)03d {who} %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("trioq").setLevel(logging.INFO)


if __name__ == "__main__":
    main()
