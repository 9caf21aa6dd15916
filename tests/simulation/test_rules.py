"""The rules of a history: small examples keep each, and their wrong twins break it.  So each of them can fail."""

from __future__ import annotations

from importlib import import_module

import attrs
import pytest

from tests.simulation.examples import EXAMPLES, Example, told
from tests.simulation.tale import Tale
from trioq._core.lifecycle import Complete, Fail, Reclaim
from trioq.testing.simulation.rules import GROUPS, LIVENESS, SAFETY, Rule, broken

_CHAPTERS = (
    *("store", "answers", "handling", "idling", "stopping", "settling", "contents", "holding", "limits", "events"),
    "progress",
)
for chapter in _CHAPTERS:
    import_module(f"tests.simulation.examples.{chapter}")

every_example = pytest.mark.parametrize(
    ("rule", "example"), EXAMPLES, ids=[f"{rule.__name__}-{example.__name__}" for rule, example in EXAMPLES]
)


@every_example
def test_an_example_keeps_its_rule(rule: Rule, example: Example):
    assert list(rule(told(example, wrong=False))) == []


@every_example
def test_its_wrong_twin_breaks_it(rule: Rule, example: Example):
    assert list(rule(told(example, wrong=True))) != []


def test_every_rule_is_broken_by_some_example():
    assert {rule for rule, _ in EXAMPLES} == {*SAFETY, *LIVENESS}


def test_every_rule_stands_in_one_chapter():
    rules = [rule for chapter in GROUPS.values() for rule in chapter]
    assert sorted(rules, key=id) == sorted([*SAFETY, *LIVENESS], key=id)


@pytest.mark.parametrize("rule", [*SAFETY, *LIVENESS], ids=lambda rule: rule.__name__)
def test_a_rule_begins_with_the_sentence_that_it_stands_for(rule: Rule):
    [first, *_] = rule.__doc__.split("\n\n")
    assert first.endswith(".")
    assert "\n" not in first


def test_a_day_as_it_should_be_breaks_no_rule():
    tale = Tale()
    tale.enqueue("j1", max_retries=1).enqueue("j2").run("w1.1", "j1", "raised", Fail("ValueError: as planned", 0.5))
    tale.take("w2.1", "j2").at(1).run("w1.1", "j1").at(2).renew("w2.1", "j2").die("w2.1").at(11)
    tale.store("w1.1", "j2", Reclaim()).at(12).run("w1.1", "j2").heal().at(40).stop("w1.1")
    tale.plan = attrs.evolve(tale.plan, heals=True)
    assert broken(tale.history()) == []


def test_a_world_that_does_not_heal_need_not_end():
    tale = Tale().enqueue("j1")
    assert broken(tale.history(drained=False)) == []
    tale.plan = attrs.evolve(tale.plan, heals=True)
    assert broken(tale.history(drained=False)) == ["everything_ends:     0.000 not everything has ended: j1"]


def test_a_line_says_which_rule_is_broken_by_whom_and_when():
    tale = Tale().enqueue("j1").at(1.5).take("w1.1", "j1").store("w2.1", "j1", Complete(b"1"))
    assert (
        "only_its_holder_settles_a_run:     1.500 w2.1 writes job:completed of j1, run 1, which w1.1 holds"
        in broken(tale.history())
    )
