"""What was measured, as values: stored as lines of JSON, compared as ratios.  Nothing is measured here."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psutil

from trioq import __version__

from .trial import Figures


@attrs.frozen
class Measured:
    """One trial: what came of it, or why nothing did."""

    workload: str
    contender: str
    round: int
    figures: Figures = attrs.field(factory=dict)
    unsupported: str = ""
    failed: str = ""


@attrs.frozen
class Spread:
    """Several figures of one kind."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def ends(self) -> tuple[float, float]:
        return min(self.values), max(self.values)


@attrs.define
class Results:
    """All trials of a run."""

    machine: dict[str, Any]
    stores: dict[str, str] = attrs.field(factory=dict)  #: what they are
    versions: dict[str, dict[str, str]] = attrs.field(factory=dict)  #: by contender
    missing: dict[str, str] = attrs.field(factory=dict)  #: contenders that could not be installed, and why
    trials: list[Measured] = attrs.field(factory=list)

    def of(self, workload: str, contender: str) -> Iterator[Measured]:
        """Those of one kind, that came to figures."""
        return (each for each in self._all_of(workload, contender) if each.figures)

    def unsupported(self, workload: str, contender: str) -> str:
        """Why a contender can't do it, if so."""
        return next((each.unsupported for each in self._all_of(workload, contender) if each.unsupported), "")

    def failed(self, workload: str, contender: str) -> int:
        """In how many rounds it failed."""
        return sum(bool(each.failed) for each in self._all_of(workload, contender))

    def _all_of(self, workload: str, contender: str) -> Iterator[Measured]:
        return (each for each in self.trials if (each.workload, each.contender) == (workload, contender))

    def spread(self, workload: str, contender: str, figure: str) -> Spread | None:
        """All values of one figure."""
        values = tuple(each.figures[figure] for each in self.of(workload, contender) if figure in each.figures)
        return Spread(values) if values else None

    def ratio(self, workload: str, ours: str, theirs: str, figure: str) -> Spread | None:
        """Ours to theirs, in each round in which both came to a figure."""
        first = {each.round: each.figures[figure] for each in self.of(workload, ours)}
        second = {each.round: each.figures[figure] for each in self.of(workload, theirs)}
        values = tuple(first[each] / second[each] for each in first if second.get(each))
        return Spread(values) if values else None

    def store(self, path: Path) -> None:
        """Write a line about all trials, and a line for each."""
        path.parent.mkdir(parents=True, exist_ok=True)
        about = attrs.asdict(self, filter=lambda field, _: field.name != "trials")
        trials = (attrs.asdict(each, filter=lambda _, value: value not in ("", {})) for each in self.trials)
        path.write_text("".join(f"{json.dumps(_rounded(each))}\n" for each in (about, *trials)))

    @classmethod
    def load(cls, path: Path) -> Results:
        about, *trials = (json.loads(line) for line in path.read_text().splitlines())
        return cls(**about, trials=[Measured(**each) for each in trials])


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    """With four digits of each figure: more mean nothing."""
    rounded: dict[str, Any] = json.loads(json.dumps(values), parse_float=lambda digits: float(f"{float(digits):.4g}"))
    return rounded


def this_machine() -> dict[str, Any]:
    """What figures depend on."""
    return {
        "trioq": _commit(),
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memory GB": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _commit() -> str:
    """Which code was measured, where that is known."""
    asked = ["git", "describe", "--always", "--dirty"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        told = ""
    return told or __version__


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
