"""How the specification is run: its strengths, and the backends that it is run against.

``HYPOTHESIS_PROFILE=dev`` takes seconds and is the default, ``ci`` takes minutes.  ``--backend=module:factory`` names
a backend to ask instead of ours, and leaves out the properties that ask none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings

from property_tests import backends

# No deadline: how long one example takes says more about the machine than about trioq.
_ALWAYS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

settings.register_profile("dev", _ALWAYS, max_examples=60, stateful_step_count=40)
settings.register_profile("ci", _ALWAYS, max_examples=1_000, stateful_step_count=60)
# For mutants: to see that a property fails is enough, so nothing is made smaller or kept.
settings.register_profile("mutants", settings.get_profile("dev"), phases=[Phase.generate], database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

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
    reference = _named(config)
    try:
        config.stash[_MAKERS] = {reference: backends.named(reference)} if reference else backends.OURS
    except ValueError as error:
        raise pytest.UsageError(f"--backend={reference}: {error}") from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A property with an argument ``make`` is asked of each backend."""
    if "make" in metafunc.fixturenames:
        makers = metafunc.config.stash[_MAKERS]
        metafunc.parametrize("make", makers.values(), ids=makers)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what asks no backend, where one is named; and give properties in profile ci minutes.

    Cut short, Hypothesis would take the timeout for a falsifying example.
    """
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in here:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))
    if _named(config):
        asked = [item for item in here if hasattr(item, "callspec") and "make" in item.callspec.params]
        config.hook.pytest_deselected(items=[item for item in items if item not in asked])
        items[:] = asked


def _named(config: pytest.Config) -> str | None:
    return config.getoption("--backend", None)
