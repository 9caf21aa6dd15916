"""The two strengths of the property suite: ``HYPOTHESIS_PROFILE=dev`` (seconds, the default) or ``ci`` (minutes)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# No deadline: how long one example takes says more about the machine than about trioq.
_ALWAYS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

settings.register_profile("dev", _ALWAYS, max_examples=60, stateful_step_count=40)
settings.register_profile("ci", _ALWAYS, max_examples=1_000, stateful_step_count=60)
# For mutations.py: to see that a property fails is enough, so nothing is made smaller or kept.
settings.register_profile("mutations", settings.get_profile("dev"), phases=[Phase.generate], database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a property in profile ci minutes; cut short, Hypothesis would take the timeout for a falsifying example."""
    for item in items:
        if item.path.parent == Path(__file__).parent and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))
