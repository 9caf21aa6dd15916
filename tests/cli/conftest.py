"""What the tests of the command line share: the real command, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import trioq

Start = Callable[..., "subprocess.Popen[str]"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

#: Seconds that any command may take; the machine may be busy.
PATIENCE = 60


@pytest.fixture
def environ() -> dict[str, str]:
    """An environment in which any folder's Python finds this trioq, and nothing sets it up."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRIOQ_")}
    return inherited | {"PYTHONPATH": str(Path(trioq.__file__).parents[1]), "COLUMNS": "120", "NO_COLOR": "1"}


@pytest.fixture
def start(tmp_path: Path, environ: dict[str, str]) -> Iterator[Start]:
    """Starts ``python ARGUMENTS`` in the test's folder; whatever still runs when the test has ended is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
        given = {"cwd": tmp_path, "env": environ, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, "-W", "error", *arguments], **(given | options))
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def run(start: Start) -> Run:
    """Runs ``python ARGUMENTS`` to its end."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        process = start(*arguments, **options)
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    return run
