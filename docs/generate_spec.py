"""Writes the rules of docs/spec from the properties that check them: ``python docs/generate_spec.py``.

A rule is the first paragraph of a property's docstring; its number stands in docs/spec/numbers.txt, one line a rule: a
new rule takes the next number, a renamed one keeps its line, and the line of one that was withdrawn stays.
Tests compare the pages with the properties, so neither can move without the other.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "docs" / "spec"
NUMBERS: Final = FOLDER / "numbers.txt"

_STATEFUL: Final = ("hypothesis_stateful_invariant", "hypothesis_stateful_rule")

#: Tests that are no rules: they run the rules of other modules.
RUNNERS: Final = {
    "test_conformance.test_a_backend_keeps_the_contract",
    "test_lifecycle.TestOneJob",
    "test_redis_matches_model.test_any_program_leaves_redis_and_the_model_in_the_same_place",
    "test_postgres_matches_model.test_any_program_leaves_postgresql_and_the_model_in_the_same_place",
    "test_simulation.test_no_world_breaks_a_rule",
}


@attrs.frozen
class Rule:
    """A sentence that a property proves."""

    #: What the property is called in numbers.txt.
    key: str
    #: Where it is, as the page says it.
    place: str
    #: The paragraphs of its docstring: the first one is the rule, the others add to it.
    paragraphs: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The rule itself."""
        return self.paragraphs[0]


@attrs.frozen
class Section:
    """Rules that read well in a row."""

    title: str
    rules: Callable[[], Iterable[Rule]]


@attrs.frozen
class Chapter:
    """A page."""

    name: str
    title: str
    introduction: str
    sections: tuple[Section, ...]

    @property
    def page(self) -> Path:
        """Where it is written."""
        return FOLDER / f"{self.name}.rst"

    def rules(self) -> Iterator[Rule]:
        """All of them, in order."""
        for section in self.sections:
            yield from section.rules()


# --- properties, and where they are -------------------------------------------------------------


def _rule(key: str, place: str, prover: Any) -> Rule:
    paragraphs = (inspect.getdoc(prover) or "").split("\n\n")
    return Rule(key, place, tuple(" ".join(paragraph.split()) for paragraph in paragraphs))


def _module(name: str) -> ModuleType:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(name)


def _properties(name: str) -> Callable[[], Iterator[Rule]]:
    """Each test of a module of property_tests."""

    def rules() -> Iterator[Rule]:
        for test, prover in vars(_module(f"property_tests.{name}")).items():
            if test.startswith("test_") and f"{name}.{test}" not in RUNNERS:
                yield _rule(f"{name}.{test}", f"``property_tests/{name}.py``, ``{test}``", prover)

    return rules


def _machine(name: str, machine: str) -> Callable[[], Iterator[Rule]]:
    """Each invariant of a state machine, and each of its rules that has a sentence: the others only act."""

    def rules() -> Iterator[Rule]:
        for method, prover in vars(getattr(_module(f"property_tests.{name}"), machine)).items():
            invariant, action = (hasattr(prover, mark) for mark in _STATEFUL)
            if invariant or (action and prover.__doc__):
                place = f"``property_tests/{name}.py``, ``{machine}.{method}``"
                yield _rule(f"{name}.{machine}.{method}", place, prover)

    return rules


def _checks(name: str) -> Callable[[], Iterator[Rule]]:
    """Each check of a chapter of `trioq.testing`."""

    def rules() -> Iterator[Rule]:
        for check, prover in vars(_module(f"trioq.testing.{name}")).items():
            if check.startswith("check_"):
                yield _rule(f"trioq.testing.{check}", f"`trioq.testing.{check}`", prover)

    return rules


def _histories(group: str) -> Callable[[], Iterator[Rule]]:
    """Each rule that simulated histories are judged by."""

    def rules() -> Iterator[Rule]:
        for judge in _module("trioq.testing.simulation.rules").GROUPS[group]:
            place = f"``{judge.__module__.replace('.', '/')}.py``, ``{judge.__name__}``"
            yield _rule(f"simulation.{judge.__name__}", place, judge)

    return rules


# --- the chapters -------------------------------------------------------------------------------

CHAPTERS: Final = (
    Chapter(
        "lifecycle",
        "The state machine",
        "What may become of one job. It is pure: these rules know no store, no worker and no clock.",
        (
            Section("One life, whatever is tried on it", _machine("test_lifecycle", "OneJob")),
            Section("The table", _properties("test_table")),
            Section("Single steps", _properties("test_lifecycle")),
            Section("How a run ended", _properties("test_outcome")),
            Section("How long a retry waits", _properties("test_backoff")),
            Section("What a backoff is made of", _properties("test_backoff_fields")),
        ),
    ),
    Chapter(
        "values",
        "Values",
        "What goes into a store comes out of it as it was, or is refused when it goes in.",
        (
            Section("Arguments and results", _properties("test_payload")),
            Section("Records", _properties("test_wire")),
            Section("Settings", _properties("test_settings")),
            Section("Options", _properties("test_options")),
        ),
    ),
    Chapter(
        "backends",
        "The contract of a backend",
        "What every store does, whichever it is: ours, and yours.",
        (
            Section("Any program", _properties("test_backend_matches_model")),
            Section("Insert", _checks("_insert")),
            Section("Claim", _checks("_claim")),
            Section("Settle", _checks("_settle")),
            Section("Leases", _checks("_leases")),
            Section("Records", _checks("_records")),
            Section("Looking", _checks("_reads")),
            Section("Tidying", _checks("_tidying")),
            Section("Hints", _checks("_watching")),
            Section("Cancelling", _checks("_cancelling")),
            Section("Opening and closing", _checks("_lifetime")),
            Section("In a world where things break", _histories("the store")),
        ),
    ),
    Chapter(
        "workers",
        "Workers",
        "What workers do with jobs while processes die, freeze and are cut off. "
        "Simulated histories are judged by these rules.",
        (
            Section("In a world where things break", _histories("workers")),
            Section("Wherever it crashes", _properties("test_crash_points")),
            Section("In corners that drawn worlds seldom reach", _properties("test_corners")),
            Section("The worlds themselves", _properties("test_simulation")),
        ),
    ),
    Chapter(
        "limits",
        "Limits",
        "What is never exceeded: rates, slots, attempts, crashes and times to live.",
        (
            Section("The rate bucket", _properties("test_rate")),
            Section("In a world where things break", _histories("limits")),
        ),
    ),
    Chapter(
        "events",
        "Events",
        "What is told of jobs, queues and workers, and to whom.",
        (
            Section("One event, and one subscriber", _properties("test_events")),
            Section("In a world where things break", _histories("events")),
        ),
    ),
)


# --- numbers ------------------------------------------------------------------------------------


def numbers() -> dict[str, int]:
    """The number of each rule that there is or was, as the file has them."""
    lines = NUMBERS.read_text(encoding="utf-8").splitlines() if NUMBERS.exists() else []
    return {key: int(number.removeprefix("S")) for number, key in map(str.split, lines)}


def with_new_numbers(known: dict[str, int]) -> dict[str, int]:
    """The same, and after them those of the rules that have none yet."""
    fresh = [rule.key for chapter in CHAPTERS for rule in chapter.rules() if rule.key not in known]
    return known | {key: number for number, key in enumerate(fresh, max(known.values(), default=0) + 1)}


# --- pages --------------------------------------------------------------------------------------


def page(chapter: Chapter, known: dict[str, int]) -> str:
    """The whole page of a chapter."""
    parts = [
        ".. Generated by docs/generate_spec.py from the docstrings of the properties: change them, and run that.",
        f"{chapter.title}\n{'=' * len(chapter.title)}",
        chapter.introduction,
    ]
    for section in chapter.sections:
        parts.append(f"{section.title}\n{'-' * len(section.title)}")
        parts += [_entry(rule, known[rule.key]) for rule in section.rules()]
    return "\n\n".join(parts) + "\n"


def _entry(rule: Rule, number: int) -> str:
    paragraphs = [*rule.paragraphs, f"Checked by {rule.place}."]
    body = "\n\n".join(f"   {paragraph}" for paragraph in paragraphs)
    return f".. _S{number}:\n\nS{number}\n{body}"


def main() -> None:
    """Write the numbers and the pages."""
    known = with_new_numbers(numbers())
    NUMBERS.write_text("".join(f"S{number} {key}\n" for key, number in known.items()), encoding="utf-8")
    for chapter in CHAPTERS:
        chapter.page.write_text(page(chapter, known), encoding="utf-8")


if __name__ == "__main__":
    main()
