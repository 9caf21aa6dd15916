"""How the processes of one test run work together, where pytest-xdist runs several: a plugin of both test folders.

Each process has servers and stores of its own.  What is dear and the same for all is made `once`.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

#: Where the tests are that take longest.  Begun first, they do not end last.
_LONG: Final = (
    "property_tests/",
    "tests/processes/",
    "tests/docs/",
    "tests/cli/",
    "tests/backends/test_postgres_outages",
    "tests/backends/test_postgres_requests",
)

#: The variable that names the folder of the run: all its processes inherit it.
_FOLDER: Final = "TEST_RUN_FOLDER"

#: Seconds of CPU that a run may take, if it has a budget: ``make test`` has.  CONTRIBUTING.md says what may be added.
_BUDGET: Final = float(os.environ.get("TEST_BUDGET", "0"))


def register(config: pytest.Config) -> None:
    """Make this module a plugin.  Both test folders ask for it, since each can be run alone."""
    if not config.pluginmanager.has_plugin(__name__):
        config.pluginmanager.register(Parallel(), __name__)


class Parallel:
    """The hooks."""

    def pytest_configure(self) -> None:
        """Make the folder before the other processes begin: they are told of it by their environment."""
        _run_folder()

    @pytest.hookimpl(trylast=True)  # after -k and -m have picked theirs
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put what takes long first."""
        items.sort(key=lambda item: not item.nodeid.startswith(_LONG))

    @pytest.hookimpl(trylast=True)  # the other processes have ended
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that takes far more than its budget."""
        if _over_budget():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell what the run has taken."""
        if _BUDGET:
            told = f"{_spent():.0f} s of CPU, of a budget of {_BUDGET:.0f}"
            terminalreporter.write_line(f"{told}: over twice as much fails" if _over_budget() else told)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Iterator[Mapping[str, Any] | None]:
        """Let a report pass from process to process, also one with lone surrogates in what was logged."""
        report = yield
        plain = json.dumps(report, ensure_ascii=False, default=str)
        return report and json.loads(plain.encode(errors="replace"))


def the_first_and_slow(names: Iterable[str]) -> list[Any]:
    """Names of servers, to parametrize a test: `make test` asks the first, and all tests ask each."""
    return [pytest.param(name, marks=[pytest.mark.slow] if place else []) for place, name in enumerate(names)]


def _spent() -> float:
    """Seconds of CPU, of this process and of those that it has started and that have ended."""
    return sum(os.times()[:4])


def _over_budget() -> bool:
    """The same work costs more CPU on a busy machine (1.2 times as much was seen), so the bar is twice the budget."""
    return bool(_BUDGET) and _spent() > 2 * _BUDGET


def once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder *name*, as the first process of the run has made it; the others wait until it is there."""
    run = _run_folder()
    made = run / name
    with open(run / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            half = run / f"{name}.half"
            shutil.rmtree(half, ignore_errors=True)  # of a process that was ended in the midst
            half.mkdir()
            make(half)
            half.rename(made)
    return made


def _run_folder() -> Path:
    """The folder of this run, which any user may enter: PostgreSQL does not run as root."""
    if _FOLDER not in os.environ:
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="trioq-tests-")
        os.chmod(os.environ[_FOLDER], 0o755)
        atexit.register(shutil.rmtree, os.environ[_FOLDER], ignore_errors=True)
    return Path(os.environ[_FOLDER])
