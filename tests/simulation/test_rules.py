"""The rules of a history: small examples keep each, and their wrong twins break it.  So each of them can fail."""

from __future__ import annotations

from importlib import import_module

import attrs

from tests.simulation.examples import EXAMPLES, told
from tests.simulation.made_history import MadeHistory
from trioq._core.lifecycle import Complete, Fail, Reclaim
from trioq.testing.simulation.rules import GROUPS, LIVENESS, SAFETY, broken

_CHAPTERS = (
    *("store", "answers", "handling", "idling", "stopping", "settling", "contents", "holding", "limits", "events"),
    "progress",
)
for chapter in _CHAPTERS:
    import_module(f"tests.simulation.examples.{chapter}")


def found(wrong: bool) -> dict[str, list[str]]:
    """What each example's rule finds in it, or in its wrong twin."""
    return {
        f"{rule.__name__}: {example.__name__}": list(rule(told(example, wrong=wrong))) for rule, example in EXAMPLES
    }


def test_an_example_keeps_its_rule():
    assert {name: breaches for name, breaches in found(wrong=False).items() if breaches} == {}


def test_its_wrong_twin_breaks_it():
    assert {name for name, breaches in found(wrong=True).items() if not breaches} == set()


def test_every_rule_is_broken_by_some_example():
    assert {rule for rule, _ in EXAMPLES} == {*SAFETY, *LIVENESS}


def test_every_rule_stands_in_one_chapter():
    rules = [rule for chapter in GROUPS.values() for rule in chapter]
    assert sorted(rules, key=id) == sorted([*SAFETY, *LIVENESS], key=id)


def test_a_rule_begins_with_the_sentence_that_it_stands_for():
    first = {rule.__name__: rule.__doc__.split("\n\n")[0] for rule in (*SAFETY, *LIVENESS)}
    assert {name: line for name, line in first.items() if not line.endswith(".") or "\n" in line} == {}


def test_a_day_as_it_should_be_breaks_no_rule():
    made = MadeHistory()
    made.enqueue("j1", max_retries=1).enqueue("j2").run("w1.1", "j1", "raised", Fail("ValueError: as planned", 0.5))
    made.take("w2.1", "j2").at(1).run("w1.1", "j1").at(2).renew("w2.1", "j2").die("w2.1").at(11)
    made.store("w1.1", "j2", Reclaim()).at(12).run("w1.1", "j2").heal().at(40).stop("w1.1")
    made.plan = attrs.evolve(made.plan, heals=True)
    assert broken(made.history()) == []


def test_a_world_that_does_not_heal_need_not_end():
    made = MadeHistory().enqueue("j1")
    assert broken(made.history(drained=False)) == []
    made.plan = attrs.evolve(made.plan, heals=True)
    assert broken(made.history(drained=False)) == ["everything_ends:     0.000 not everything has ended: j1"]


def test_a_line_says_which_rule_is_broken_by_whom_and_when():
    made = MadeHistory().enqueue("j1").at(1.5).take("w1.1", "j1").store("w2.1", "j1", Complete(b"1"))
    assert (
        "only_its_holder_settles_a_run:     1.500 w2.1 writes job:completed of j1, run 1, which w1.1 holds"
        in broken(made.history())
    )
