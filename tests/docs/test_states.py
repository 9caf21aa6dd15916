"""The page of states is the table."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from trioq.lifecycle import TABLE, State

GENERATOR = Path(__file__).parent.parent.parent / "docs" / "generate_states.py"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_states", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_of_states_equals_the_table():
    generated = generator()
    committed = generated.PAGE.read_text(encoding="utf-8")
    assert committed == generated.page(), "the table has changed: run `python docs/generate_states.py`"


def test_the_page_of_states_names_every_state_command_and_event():
    page = generator().page()
    events = {event.name for rule in TABLE.values() for event in rule.targets.values()}
    for word in {*map(str, State), *(command.__name__ for command in TABLE), *events}:
        assert word in page
