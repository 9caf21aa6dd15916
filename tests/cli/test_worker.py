"""``trioq worker``: it runs an application's jobs until a signal, and says what it does on stderr."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

import trioq

HERE = Path(__file__).parent

Worker = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path}/jobs.db"


@pytest.fixture
def worker(start, environ: dict[str, str], store: str) -> Worker:
    """Starts ``trioq worker ARGUMENTS`` in the folder of the applications, on the test's store."""
    return lambda *arguments: start(
        "-m", "trioq", "worker", *arguments, cwd=HERE, env=environ | {"TRIOQ_BACKEND": store}
    )


def log_until(process: subprocess.Popen[str], words: str) -> str:
    """What the process says on stderr, up to the line with these *words*."""
    log = ""
    while words not in log:
        line = process.stderr.readline()
        assert line, f"the worker ended without {words!r}; it said:\n{log}"
        log += line
    return log


def stop(process: subprocess.Popen[str]) -> str:
    """End the worker by a signal, which must be a clean end; the rest of its log."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == ""
    return err


async def greeting(store: str) -> str:
    """Enqueue a job as a program without the application's code, and wait for what a worker makes of it."""
    with trio.fail_after(60):
        async with trioq.Queue("greetings", backend=store) as queue:
            job = await queue.enqueue("greet", ["Ada"])
            return await job.result()


def test_a_queue_gets_a_worker_made_for_it(worker, store: str):
    process = worker("greetings:queue", "--concurrency", "3", "--grace", "2", "--name", "mine")
    log = log_until(process, "starts")
    assert "worker mine starts" in log
    assert "queues greetings, 3 slots" in log
    assert trio.run(greeting, store) == "hello Ada"
    assert re.search(r"^\d\d:\d\d:\d\d INFO +received SIGTERM\n.*grace 2 s\n", stop(process), re.MULTILINE)


@pytest.mark.slow
def test_the_applications_own_worker_keeps_what_the_command_line_does_not_say(worker, store: str):
    process = worker("greetings:worker")
    log = log_until(process, "starts")
    assert "worker of-the-application starts" in log
    assert "7 slots" in log
    assert trio.run(greeting, store) == "hello Ada"
    assert "grace 7 s" in stop(process)


@pytest.mark.slow
def test_the_command_line_goes_before_the_applications_own_worker(worker):
    process = worker("greetings:worker", "--concurrency", "3", "--grace", "2", "--name", "mine")
    log = log_until(process, "starts")
    assert "worker mine starts" in log
    assert "3 slots" in log
    assert "grace 2 s" in stop(process)


def test_an_application_that_has_set_up_logging_keeps_it(worker):
    process = worker("own_logging:queue")
    log = log_until(process, "starts") + stop(process)
    assert log.count("has stopped") == 1
    assert all(line.startswith("OWN ") for line in log.splitlines())
