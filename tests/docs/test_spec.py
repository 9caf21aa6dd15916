"""The written specification is its properties: none is missing, none is extra, and each is a sentence."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from property_tests import backends
from trioq.testing import CHECKS

ROOT = Path(__file__).parent.parent.parent
RUN = "run `python docs/generate_spec.py`"

GULLIBLE = """
from trioq import InMemoryBackend
from trioq.abc import Settled, Verdict

class Gullible(InMemoryBackend):
    async def settle(self, changes):
        return Settled((await super().settle(changes)).now, [Verdict.STORED] * len(changes))
"""


@pytest.fixture(scope="module")
def spec() -> ModuleType:
    found = importlib.util.spec_from_file_location("generate_spec", ROOT / "docs" / "generate_spec.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def rules(spec: ModuleType) -> list:
    return [rule for chapter in spec.CHAPTERS for rule in chapter.rules()]


def run_pytest(
    *arguments: str, folder: Path = ROOT / "docs" / "examples", profile: str = "dev"
) -> subprocess.CompletedProcess[str]:
    """Run the specification, with the modules of *folder* at hand."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "HYPOTHESIS_PROFILE": profile}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "property_tests", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )


# --- the pages ----------------------------------------------------------------------------------


def test_the_committed_pages_equal_the_properties(spec):
    known = spec.numbers()
    for chapter in spec.CHAPTERS:
        assert {rule.key for rule in chapter.rules()} <= known.keys(), f"there are new properties: {RUN}"
        committed = chapter.page.read_text(encoding="utf-8")
        assert committed == spec.page(chapter, known), f"{chapter.name} has changed: {RUN}"


@pytest.mark.slow
def test_a_rule_can_be_run_by_its_number():
    chosen = {
        "S175": "test_rate.py::",
        "S92": "test_conformance.py::test_a_backend_keeps_the_contract[",
        "S188": "test_simulation.py::test_no_world_breaks_a_rule[",
    }
    collected = run_pytest("--collect-only", "-k", " or ".join(chosen)).stdout
    assert [test for test in chosen.values() if f"property_tests/{test}" not in collected] == []
    assert "test_lifecycle" not in collected
    assert "property_tests/test_lifecycle.py::TestOneJob::" in run_pytest("--collect-only", "-k", "S2").stdout


@pytest.mark.slow
def test_every_test_that_pytest_collects_is_a_rule_or_runs_some(spec):
    collected = set(re.findall(r"^property_tests/(\w+)\.py::(\w+)", run_pytest("--collect-only").stdout, re.MULTILINE))
    tests = {f"{module}.{test}" for module, test in collected}
    written = {rule.key for rule in rules(spec) if re.match(r"test_\w+\.test_\w+$", rule.key)}
    assert tests - spec.RUNNERS == written, "give its module a place in CHAPTERS, or RUNNERS, of docs/generate_spec.py"
    assert tests >= spec.RUNNERS


def test_every_invariant_of_a_state_machine_is_a_rule(spec):
    from property_tests.test_lifecycle import OneJob

    invariants = {name for name, method in vars(OneJob).items() if hasattr(method, "hypothesis_stateful_invariant")}
    assert invariants
    assert {f"test_lifecycle.OneJob.{name}" for name in invariants} <= {rule.key for rule in rules(spec)}


def test_every_check_of_a_backend_is_a_rule(spec):
    checks = {rule.key for rule in rules(spec) if rule.key.startswith("trioq.testing.")}
    assert checks == {f"trioq.testing.{check.__name__}" for check in CHECKS}


def test_every_rule_of_histories_is_a_rule(spec):
    from trioq.testing.simulation.rules import GROUPS

    judges = {rule.key for rule in rules(spec) if rule.key.startswith("simulation.")}
    assert judges == {f"simulation.{judge.__name__}" for group in GROUPS.values() for judge in group}


def test_every_rule_is_one_sentence_of_its_own(spec):
    sentences = [rule.sentence for rule in rules(spec)]
    for sentence in sentences:
        assert re.match(r"[A-Z`].*\.$", sentence), sentence
        assert len(sentence) <= 300, f"too long to be quoted: {sentence}"
    assert len(set(sentences)) == len(sentences)


def test_no_number_is_used_twice_and_none_is_left_out(spec):
    lines = spec.NUMBERS.read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines] == [f"S{number}" for number in range(1, len(lines) + 1)]
    assert len(spec.numbers()) == len(lines)


def test_a_new_rule_takes_the_next_number_and_leaves_the_others_theirs(spec):
    known = spec.numbers()
    withdrawn = "test_lifecycle.test_of_long_ago"
    renewed = rules(spec)[0].key
    before = {key: number for key, number in known.items() if key != renewed} | {withdrawn: len(known) + 1}
    assert spec.with_new_numbers(before) == before | {renewed: len(known) + 2}


def test_the_introduction_names_rules_that_are_there(spec):
    numbers = spec.numbers()
    here = {f"S{numbers[rule.key]}" for rule in rules(spec)}
    named = re.findall(r":ref:`(\w+) <(\w+)>`", (spec.FOLDER / "index.rst").read_text(encoding="utf-8"))
    assert named
    for shown, target in named:
        assert shown == target
        assert target in here, f"{target} was withdrawn"


# --- against another backend --------------------------------------------------------------------


@pytest.mark.slow
def test_the_specification_runs_against_the_backend_of_the_documentation():
    done = run_pytest("--backend=dict_backend:DictBackend", "-k", "any_program or claim_equals or lifecycle")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b2 passed, \d+ deselected", done.stdout), done.stdout


@pytest.mark.slow
def test_a_backend_that_accepts_stale_writes_is_found(tmp_path):
    (tmp_path / "gullible.py").write_text(GULLIBLE)
    done = run_pytest("--backend=gullible:Gullible", "-k", "any_program", folder=tmp_path, profile="mutants")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "Verdict.STORED" in done.stdout


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("dict_backend", "as module:factory"),
        ("no_such_module:DictBackend", "on PYTHONPATH"),
        ("trioq:NoSuchBackend", "has no 'NoSuchBackend'"),
        ("trioq:__version__", "can't be called"),
    ],
)
def test_a_name_that_answers_no_backend_is_refused_with_the_reason(reference, why):
    with pytest.raises(ValueError, match=why):
        backends.named(reference)


@pytest.mark.slow
def test_a_wrong_name_ends_the_run_before_it_begins():
    done = run_pytest("--backend=dict_backend")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "module:factory" in done.stdout
