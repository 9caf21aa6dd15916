"""One short trial of some experiments: real processes on a real store, broken, and judged by what they noted.

``make faults`` runs all of them, and more of each.
"""

from __future__ import annotations

import inspect

import pytest
import trio

from property_tests.faults import experiments  # noqa: F401  fills EXPERIMENTS
from property_tests.faults.experiment import EXPERIMENTS
from property_tests.faults.experiments import restarting
from property_tests.faults.processes import open_fork_server
from property_tests.faults.result import Result
from property_tests.faults.runner import run_trials
from trioq._worker import settle

#: Those that take a few seconds, and have no bar that a busy machine would miss.
QUICK = {
    "killed at each operation",
    "killed at any moment",
    "twenty workers killed at once lease 3",
    "a frozen worker wakes up",
    "rolling restarts",
    "poison pills",
    "cancels at any moment",
    "limits while workers die",
    "the file is copied at any moment",
    "the disk is full",
    "storms of resets",
    "answers break off",
    "stopped while nothing gets through",
    "the store is emptied",
    "jobs that no worker can read",
    "strings that mean something elsewhere",
}

#: Of those on PostgreSQL, whose servers take their time to start; and what only they have.
QUICK_ON_POSTGRES = {
    "killed at each operation",
    "a frozen worker wakes up",
    "rolling restarts",
    "answers break off",
    "stopped while nothing gets through",
    "jobs that no worker can read",
    "connections are terminated",
}

STORES = {"sqlite": QUICK, "redis": QUICK, "postgresql": QUICK_ON_POSTGRES}


def test_the_quick_ones_exist():
    assert {each.name for each in EXPERIMENTS} >= QUICK | QUICK_ON_POSTGRES


def test_what_is_looked_for_in_the_log_is_what_a_worker_logs_when_it_drops_outcomes():
    assert restarting.DROPPED in inspect.getsource(settle)


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
async def test_every_rule_is_kept_whatever_breaks(store, capsys):
    """Several at once, for most of the time they wait; what is measured on a busy machine is not judged here."""
    results: dict[str, Result] = {}
    turn = trio.CapacityLimiter(6)
    async with open_fork_server() as fork_server, trio.open_nursery() as nursery:

        async def run(each):
            results[each.name] = await run_trials(each, store, 1, fork_server, turn, quick=True)

        for each in EXPERIMENTS:
            if each.name in STORES[store] and store in each.stores:
                nursery.start_soon(run, each)
    assert {name: result.words for name, result in results.items() if result.violations} == {}
    assert all(result.trials == 1 for result in results.values())
