"""How the specification is run: its strengths, and the backends that it is run against.

``HYPOTHESIS_PROFILE=dev`` takes half a minute and is the default, ``ci`` takes minutes, ``long`` half an hour.
``--backend=module:factory`` names a backend to ask instead of ours, and leaves out the properties that ask none.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings

from property_tests import backends
from tests import parallel

# No deadline: how long one example takes says more about the machine than about trioq.
_ALWAYS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

settings.register_profile("dev", _ALWAYS, max_examples=30, stateful_step_count=40)
settings.register_profile("ci", _ALWAYS, max_examples=120, stateful_step_count=60)
settings.register_profile("long", _ALWAYS, max_examples=1_000, stateful_step_count=60)
# For mutants: to see that a property fails is enough, so nothing is made smaller or kept.
settings.register_profile(
    "mutants", _ALWAYS, max_examples=240, stateful_step_count=40, phases=[Phase.generate], database=None
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

#: Those that check many rules, by what the names of these begin with.
_PROVERS: Final = {"simulation": "test_no_world_breaks_a_rule", "test_lifecycle.OneJob": "TestOneJob"}

_MAKERS: Final = pytest.StashKey[Mapping[str, backends.Make]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--backend``; pytest asks only where this folder is named, or no folder is."""
    parser.addoption(
        "--backend",
        metavar="MODULE:FACTORY",
        help="ask the specification of the backends that this function answers, instead of trioq's own",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find the backends, or say at once what is wrong with the name."""
    parallel.register(config)
    reference = _named(config)
    try:
        config.stash[_MAKERS] = {reference: backends.named(reference)} if reference else backends.OURS
    except ValueError as error:
        raise pytest.UsageError(f"--backend={reference}: {error}") from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A property with an argument ``make`` is asked of each backend."""
    if "make" in metafunc.fixturenames:
        makers = metafunc.config.stash[_MAKERS]
        others = [pytest.mark.slow] if metafunc.definition.get_closest_marker("one_backend") else []
        marks = [[], *[others] * (len(makers) - 1)]
        each = zip(makers.items(), marks, strict=True)
        metafunc.parametrize("make", [pytest.param(make, id=name, marks=marks) for (name, make), marks in each])


@pytest.hookimpl(tryfirst=True)  # before -k picks some by the numbers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what asks no backend, where one is named; let ``-k S174`` find a rule; give profile ci minutes.

    Cut short, Hypothesis would take the timeout for a falsifying example.
    """
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    numbers = _numbers()
    for item in here:
        item.extra_keyword_matches.update(numbers[_prover(item)])
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))
    if _named(config):
        asked = [item for item in here if hasattr(item, "callspec") and "make" in item.callspec.params]
        config.hook.pytest_deselected(items=[item for item in items if item not in asked])
        items[:] = sorted(asked, key=lambda item: item.path.stem != "test_conformance")  # the quick answers first


def _numbers() -> Mapping[str, list[str]]:
    """The numbers of the rules, by what checks them."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for line in (Path(__file__).parents[1] / "docs" / "spec" / "numbers.txt").read_text("utf-8").splitlines():
        number, _, rule = line.partition(" ")
        found[_PROVERS.get(rule.rpartition(".")[0], rule.rpartition(".")[2])].append(number)
    return found


def _prover(item: pytest.Item) -> str:
    """What rules go by that this test checks: the name of a check, of a state machine, or its own."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    machine = item.getparent(pytest.Class)
    return params["check"].__name__ if "check" in params else machine.name if machine else item.name.partition("[")[0]


def _named(config: pytest.Config) -> str | None:
    return config.getoption("--backend", None)
