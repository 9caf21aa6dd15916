"""Results of experiments can be added up, stored and shown; a promise that is missed stays missed."""

from __future__ import annotations

from collections import Counter

import pytest

from property_tests.faults import experiments, totals
from property_tests.faults.experiment import EXPERIMENTS, Bar
from property_tests.faults.page import page
from property_tests.faults.result import Result, Samples
from property_tests.faults.stores import STORES

ONE = Result(trials=1, faults=2, jobs=3, counts=Counter(lost=1), samples={"restart": Samples.of([1.23456, 2])})
BAD = Result(trials=1, samples={"restart": Samples.of([40.0])}) + Result.wrong(["job 1 is lost"])


def test_results_add_up():
    both = ONE + BAD
    assert (both.trials, both.faults, both.jobs, both.violations, both.words) == (2, 2, 3, 1, ("job 1 is lost",))
    assert both.counts == {"lost": 1}
    assert sorted(both.samples["restart"].counts.elements()) == [1.23, 2, 40]
    assert ONE + Result() == Result() + ONE == ONE


def test_all_violations_are_counted_and_the_first_are_kept():
    many = Result.wrong(str(number) for number in range(100)) + Result.wrong(["more"])
    assert (many.violations, len(many.words), many.words[0]) == (101, 5, "0")


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1, 100)])
def test_a_quantile_is_a_value_that_was_measured(share, value):
    assert Samples.of(range(1, 101)).quantile(share) == value


def test_totals_survive_their_file(tmp_path, monkeypatch):
    monkeypatch.setattr(totals, "_FILE", tmp_path / "totals.jsonl")
    assert totals.stored_totals() == {}
    totals.store_totals({"a": {"sqlite": ONE + BAD}})
    assert totals.stored_totals() == {"a": {"sqlite": ONE + BAD}}


def test_a_bar_that_nothing_was_measured_for_is_missed():
    bar = Bar("restart", 0.99, 20)
    assert bar.holds(ONE)
    assert not bar.holds(BAD)
    assert not bar.holds(Result(trials=1))


def test_a_missed_promise_is_on_the_page_twice_and_so_are_its_words():
    [bar] = {bar for each in EXPERIMENTS for bar in each.bars if bar.measured == "restart" and bar.most == 20}
    found = next(each for each in EXPERIMENTS if bar in each.bars)
    shown = page({found.name: {"sqlite": BAD, "redis": ONE}}, EXPERIMENTS)
    assert f"Missed: `{found.name}`_ on sqlite" in " ".join(shown.split())
    assert "**missed**: 1 violations; p99 of restart at most 20" in shown
    assert f"{found.name}, sqlite: job 1 is lost" in shown
    assert shown.count(",kept\n") == 1
    assert "Every promise was kept" in page({found.name: {"redis": ONE}}, EXPERIMENTS)


def test_experiments_have_a_sentence_and_a_promise_and_stores_that_exist():
    assert experiments
    assert len({each.name for each in EXPERIMENTS}) == len(EXPERIMENTS) > 20
    for each in EXPERIMENTS:
        assert each.told.endswith(".")
        assert each.promise.endswith(".")
        assert set(each.stores) <= STORES.keys()
        assert each.goal >= each.sample
