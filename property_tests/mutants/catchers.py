"""Who may notice a fault: properties, the contract, random programs, simulated worlds, and last the ordinary tests.

A catcher asks a tree, in a process of its own, and answers who noticed something, after how many examples; None where
nobody did.  A tree that can't even be asked proves nothing, so that is an error and no catch.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

#: Examples come in the same order each time, so that the table changes only where the code or a property does.
_PYTEST: Final = (
    *("-m", "pytest", "-qx", "--tb=short", "--no-header", "-p", "no:cacheprovider"),
    *("--hypothesis-seed=0", "--hypothesis-show-statistics"),
)

#: Seconds for one ordinary test; each takes far less than one.
_HANGS: Final = "20"

_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (?:property_)?tests/(?:\w+/)*(\w+)\.py(?:::(\S+))?", re.MULTILINE)
_FRAME: Final = re.compile(r"^property_tests/\w+\.py:\d+: in (\w+)", re.MULTILINE)
_EXAMPLES: Final = re.compile(r"^    - (\d+) passing, (\d+) failing", re.MULTILINE)
_PASSED: Final = re.compile(r"\b(\d+) passed\b")
_WORLD: Final = re.compile(r"^(\d+) (.+)$", re.MULTILINE)

#: What all rules of a machine go through, and the one that has the sentence for it.
_SHARED: Final = {"attempt": "somebody_tries", "a_worker_runs_it": "somebody_tries"}


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
    """A tree that can't be asked: the fault is too rough, or the suite itself fails."""


@attrs.frozen
class Catcher(ABC):
    """Asks a tree one thing."""

    name: str
    seconds: float  #: that it may take; a fault that makes it hang is noticed by just that

    def ask(self, tree: Path) -> Catch | None:
        """Who notices something in this tree."""
        command = [sys.executable, *self._command()]
        environ = {**os.environ, "HYPOTHESIS_PROFILE": "mutants", "PYTHONDONTWRITEBYTECODE": "1"}
        environ["PYTHONPATH"] = str(tree)  # where trioq is installed from a checkout, that would be asked
        process = subprocess.Popen(
            command,
            cwd=tree,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=self.seconds)
        except subprocess.TimeoutExpired:
            return Catch(f"{self.name}: no end", 1, "run")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode == 0:
            return None
        catch = self._read(output) if process.returncode == 1 else None
        if catch is None:
            raise Broken(f"{' '.join(command)} ended with {process.returncode}:\n{output[-3_000:]}")
        return catch

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """What Python is to run in the tree.  It exits with 0 where nobody notices anything, with 1 where one does."""

    @abstractmethod
    def _read(self, output: str) -> Catch | None:
        """Who noticed what, as the output tells; None where it does not."""


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
