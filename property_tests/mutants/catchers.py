"""What may notice a fault: properties, the contract, random programs, simulated worlds, and last the ordinary tests.

A catcher runs in a tree, in processes and a temp folder of its own, of which nothing is left.  It answers what noticed
something, after how many examples, or None.  Where it can't run at all, that is an error and no catch.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import attrs
import trio

#: Examples come in the same order each time, so that the table changes only where the code or a property does.
_PYTEST: Final = (
    *("-m", "pytest", "-qx", "--tb=short", "--no-header", "-p", "no:cacheprovider"),
    *("--hypothesis-seed=0", "--hypothesis-show-statistics"),
)

#: Seconds for one ordinary test; each takes far less than one.
_HANGS: Final = "60"

_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (?:property_)?tests/(?:\w+/)*(\w+)\.py(?:::(\S+))?", re.MULTILINE)
_FRAME: Final = re.compile(r"^property_tests/\w+\.py:\d+: in (\w+)", re.MULTILINE)
_EXAMPLES: Final = re.compile(r"^    - (\d+) passing, (\d+) failing", re.MULTILINE)
_PASSED: Final = re.compile(r"\b(\d+) passed\b")
_WORLD: Final = re.compile(r"^(\d+) (.+)$", re.MULTILINE)

#: The method that all rules of a machine call, and the one that has its sentence.
_SHARED: Final = {"attempt": "any_command_is_tried", "a_worker_runs_it": "any_command_is_tried"}


@attrs.frozen
class Catch:
    """A fault was noticed."""

    rule: str  #: what ``docs/spec/numbers.txt`` calls it; the name of an ordinary test, which has no number
    examples: int  #: how many were looked at by then
    of: str  #: what they are

    @property
    def by(self) -> str:
        """The property, check, rule or test, in words."""
        name = self.rule.rpartition(".")[2]
        return name.removeprefix("test_").removeprefix("check_").replace("_", " ")


class Broken(Exception):
    """A catcher can't run: the fault is too rough, or the suite itself fails."""


@attrs.frozen
class Catcher(ABC):
    """Runs one part of the suite in a tree."""

    name: str
    seconds: float  #: that it may take; a fault that makes it hang is noticed by just that

    async def run(self, tree: Path) -> Catch | None:
        """What notices something in this tree."""
        with _own_temp_folder() as temp, trio.move_on_after(self.seconds) as waiting:
            done = await run_alone(self._command(), tree, temp)
        if waiting.cancelled_caught:
            return Catch(f"{self.name}: no end", 1, "run")
        if done.returncode == 0:
            return None
        output = done.stdout.decode(errors="replace")
        catch = self._read(output) if done.returncode == 1 else None
        if catch is None:
            raise Broken(f"{' '.join(done.args)} ended with {done.returncode}:\n{output[-3_000:]}")
        return catch

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """What Python is to run in the tree.  It exits with 0 where it notices nothing, else with 1."""

    @abstractmethod
    def _read(self, output: str) -> Catch | None:
        """What noticed it, as the output tells; None where it does not."""


@contextmanager
def _own_temp_folder() -> Iterator[Path]:
    """A folder for all that the tests write.  PostgreSQL runs as another user where we are root, so it may pass."""
    with TemporaryDirectory(prefix="trioq-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


async def run_alone(command: Sequence[str], tree: Path, temp: Path) -> subprocess.CompletedProcess[bytes]:
    """Run Python in the tree; no process that came of it is left, also where this is cancelled."""
    environ = {**os.environ, "HYPOTHESIS_PROFILE": "mutants", "PYTHONDONTWRITEBYTECODE": "1"}
    environ["PYTHONPATH"] = str(tree)  # else a trioq that is installed from a checkout would be tested
    environ["TMPDIR"] = environ["TRIOQ_TESTS_TEMP"] = str(temp)
    return await trio.run_process(
        [sys.executable, "-m", "property_tests.mutants.alone", sys.executable, *command],
        cwd=tree,
        env=environ,
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
        start_new_session=True,  # Ctrl-C is for us, and we end it
        deliver_cancel=_terminate,
    )


async def _terminate(process: trio.Process) -> None:
    process.terminate()


@attrs.frozen
class Properties(Catcher):
    """Properties of some files, or those of them that a word picks."""

    files: tuple[str, ...]
    word: str = ""
    of: str = "examples"

    def _command(self) -> Sequence[str]:
        files = (f"property_tests/test_{file}.py" for file in self.files)
        return [*_PYTEST, *files, *(["-k", self.word] if self.word else [])]

    def _read(self, output: str) -> Catch | None:
        failed = _FAILED.search(output)
        if failed is None or failed[2] is None:
            return None
        return Catch(_rule(*failed.groups(), output), _examples(*failed.groups(), output), self.of)


def _rule(file: str, test: str, output: str) -> str:
    """The property; of a state machine, which is one test, the step or the invariant that failed."""
    name, _, parameters = test.partition("[")
    if file == "test_conformance":
        return f"trioq.testing.check_{parameters.rstrip(']').partition('-')[2]}"
    if name.endswith("::runTest"):
        frames = [frame for frame in _FRAME.findall(output) if not frame.startswith("test_") and frame != "runTest"]
        step = frames[-1] if frames else "step"
        return f"{file}.{name.removeprefix('Test').removesuffix('::runTest')}.{_SHARED.get(step, step)}"
    return f"{file}.{name}"


def _examples(file: str, test: str, output: str) -> int:
    """What Hypothesis says of this test; where it knows nothing, how many tests came to the end, and this one."""
    _, found, statistics = output.partition(f"property_tests/{file}.py::{test}:")
    counts = _EXAMPLES.search(statistics.lstrip().partition("\n\n")[0])
    return sum(map(int, counts.groups())) if found and counts else _tests(output)


def _tests(output: str) -> int:
    passed = _PASSED.search(output)
    return 1 + (int(passed[1]) if passed else 0)


@attrs.frozen
class Worlds(Catcher):
    """Simulated worlds over one backend, each judged by all rules of histories."""

    backend: str
    count: int

    def _command(self) -> Sequence[str]:
        return ["-m", "property_tests.mutants.worlds", self.backend, str(self.count)]

    def _read(self, output: str) -> Catch | None:
        found = _WORLD.search(output)
        return None if found is None else Catch(f"simulation.{found[2]}", int(found[1]) + 1, "worlds")


@attrs.frozen
class Tests(Catcher):
    """The ordinary tests of some folder, or those that a word picks.

    For faults in threads, signals and disks, which no world has.
    """

    folder: str
    word: str = ""

    def _command(self) -> Sequence[str]:
        return [*_PYTEST, f"--timeout={_HANGS}", f"tests/{self.folder}", *(["-k", self.word] if self.word else [])]

    def _read(self, output: str) -> Catch | None:
        failed = _FAILED.search(output)
        if failed is None:
            return None
        file, test = failed.groups()
        name, _, parameters = (test or file).partition("[")
        if file == "test_conformance":
            return Catch(f"trioq.testing.check_{parameters.partition('-')[0]}", _tests(output), "checks")
        return Catch(f"{file}.{name}", _tests(output), "tests")
