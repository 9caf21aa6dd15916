"""From a seed to a verdict: a backend with a fault in it is found out, in a short report that a command makes again."""

from __future__ import annotations

import subprocess
import sys

import pytest

import trioq
from trioq.abc import Settled, Verdict
from trioq.testing.simulation.seeds import check_seed

FORGETFUL = """
from trioq import InMemoryBackend
from trioq.abc import Settled, Verdict

class Forgetful(InMemoryBackend):
    async def settle(self, changes):
        if changes and changes[0].state == "completed":
            return Settled(await self._now(), [Verdict.STORED for _ in changes])
        return await super().settle(changes)
"""


class Forgetful(trioq.InMemoryBackend):
    """It says of a completed job that this is stored, and stores nothing."""

    async def settle(self, changes):
        if changes and changes[0].state == "completed":
            return Settled(await self._now(), [Verdict.STORED for _ in changes])
        return await super().settle(changes)


def first_failure(make):
    for seed in range(50):
        try:
            check_seed(seed, make)
        except AssertionError as error:
            return seed, str(error)
    pytest.fail("50 worlds found no fault")


def test_a_broken_rule_is_told_in_a_short_report():
    seed, told = first_failure(Forgetful)
    assert "Broken: " in told
    assert f"Seed {seed}" in told
    assert len(told.splitlines()) < 60
    assert told.count("  job ") == 1  # one is enough
    assert "fault:" not in told  # none is needed


@pytest.mark.slow
def test_a_report_ends_with_the_command_that_makes_it_again(tmp_path, monkeypatch):
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    monkeypatch.syspath_prepend(tmp_path)
    import forgetful

    seed, told = first_failure(forgetful.Forgetful)
    command = told.strip().splitlines()[-1].split()
    assert command == ["python", "-m", "trioq.testing.simulation", str(seed), "--backend", "forgetful:Forgetful"]
    again = subprocess.run(
        [sys.executable, *command[1:]],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 1
    assert again.stdout.strip() == told.strip()


def test_a_world_that_breaks_no_rule_has_a_report_too():
    done = subprocess.run(
        [sys.executable, "-m", "trioq.testing.simulation", "3"], capture_output=True, text=True, check=True
    )
    assert "No rule is broken." in done.stdout


@pytest.mark.slow
def test_the_specification_passes_our_own_backend():
    trioq.testing.spec(trioq.InMemoryBackend, histories=3)


def test_the_specification_refuses_a_faulty_one():
    with pytest.raises(AssertionError, match=r"Broken: .*\. \(check_[a-z_]+\)"):
        trioq.testing.spec(Forgetful, histories=3)
