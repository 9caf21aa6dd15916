"""Small histories, each with a wrong twin that differs in one thing: the one keeps a rule, the other breaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.simulation.made_history import MadeHistory
from trioq.testing.simulation.history import History
from trioq.testing.simulation.rules import Rule

#: Goes on with a history, or with its wrong twin.  It returns a history only where that is not all that was made.
Example = Callable[[MadeHistory, bool], History | None]

EXAMPLES: Final[list[tuple[Rule, Example]]] = []


def shows(rule: Rule) -> Callable[[Example], Example]:
    """The example keeps this rule; told wrong, it breaks it."""

    def note(example: Example) -> Example:
        EXAMPLES.append((rule, example))
        return example

    return note


def told(example: Example, wrong: bool) -> History:
    """The history of the example, or of its wrong twin."""
    made = MadeHistory()
    return example(made, wrong) or made.history()
