"""Figures become ratios and a page; the page of the docs is what its results say."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import main, pick, takers, tell_ratios
from benchmarks.contenders import CONTENDERS
from benchmarks.page import PAGE, RESULTS, better, number, page
from benchmarks.picture import PICTURE, picture
from benchmarks.results import Measured, Results, this_machine
from benchmarks.workloads import WORKLOADS

DRAIN, PICK_UP = (
    next(each for each in WORKLOADS if each.name == name) for name in ("drain, concurrency 100", "pick up")
)
BULLMQ = next(each for each in CONTENDERS if each.name == "BullMQ")


@pytest.fixture
def results() -> Results:
    """Two rounds: the machine was twice as slow in the second."""
    results = Results(this_machine())
    for round_, slow in enumerate((1.0, 0.5)):
        for name, rate, wait in (("trioq on Redis", 900, 1.0), ("BullMQ", 300, 4.0)):
            results.trials.append(Measured(DRAIN.name, name, round_, {"jobs/s": rate * slow}))
            results.trials.append(Measured(PICK_UP.name, name, round_, {"p50 ms": wait / slow}))
    results.trials.append(Measured(DRAIN.name, "arq", 0, unsupported="it will not"))
    return results


def test_ratios_compare_within_a_round(results):
    ratio = results.ratio(DRAIN.name, "trioq on Redis", "BullMQ", "jobs/s")
    assert ratio is not None
    assert (ratio.median, *ratio.ends) == (3, 3, 3)


def test_a_round_that_only_one_of_two_finished_is_not_compared(results):
    results.trials.append(Measured(DRAIN.name, "trioq on Redis", 2, {"jobs/s": 1}))
    results.trials.append(Measured(DRAIN.name, "BullMQ", 2, failed="it broke"))
    ratio = results.ratio(DRAIN.name, "trioq on Redis", "BullMQ", "jobs/s")
    assert ratio is not None
    assert ratio.values == (3, 3)


def test_more_than_one_is_better_whatever_is_measured(results):
    faster, sooner = better(results, DRAIN, BULLMQ), better(results, PICK_UP, BULLMQ)
    assert faster is not None
    assert sooner is not None
    assert (faster.median, sooner.median) == (3, 4)


def test_results_are_stored_and_read_back(results, tmp_path):
    path = tmp_path / "new" / "results.jsonl"
    results.store(path)
    assert Results.load(path) == results
    assert len(path.read_text().splitlines()) == 1 + len(results.trials)


def test_the_page_shows_medians_ratios_and_who_could_not(results):
    text = page(results)
    assert "   Redis,BullMQ,225,**3** (3 to 3)\n" in text
    assert "   Redis,arq,,it will not\n" in text


def test_a_failed_round_is_told(results):
    results.trials.append(Measured(DRAIN.name, "BullMQ", 2, failed="it broke"))
    assert ",**3** (3 to 3) **failed in 1 rounds**\n" in page(results)


def test_the_next_round_goes_the_other_way_and_without_those_who_can_not(results):
    there = [each for each in CONTENDERS if each.name in {"trioq on Redis", "BullMQ", "arq"}]
    names = [[each.name for each in takers(DRAIN, there, results, number)] for number in (0, 1)]
    assert names == [["trioq on Redis", "BullMQ"], ["BullMQ", "trioq on Redis"]]


def test_the_page_and_the_picture_of_the_docs_are_what_their_results_say():
    results = Results.load(RESULTS)
    assert page(results) == PAGE.read_text()
    assert picture(results) == PICTURE.read_text()


def test_figures_have_as_many_digits_as_mean_something():
    assert [number(each) for each in (12345.6, 99.95, 0.04371)] == ["12,346", "100", "0.0437"]


def test_words_pick_peers_with_the_trioq_beside_them_and_workloads():
    contenders, workloads = pick(["bullmq", "10 KB"], quick=False)
    assert [each.name for each in contenders] == ["trioq on Redis", "BullMQ"]
    assert [each.name for each in workloads] == ["drain, 10 kB"]


def test_no_words_pick_everything_and_a_quick_run_has_fewer_workloads():
    assert pick([], quick=False) == (list(CONTENDERS), list(WORKLOADS))
    contenders, workloads = pick([], quick=True)
    assert contenders == list(CONTENDERS)
    assert 0 < len(workloads) < len(WORKLOADS)


def test_a_word_that_names_nothing_is_told_what_there_is():
    with pytest.raises(SystemExit, match=r"called rabbitmq\. There are: trioq on Redis, .*pick up"):
        pick(["rabbitmq"], quick=False)


@pytest.mark.parametrize("rounds", ["0", "-1", "x"])
def test_a_number_of_rounds_that_is_none_is_an_error(capsys, monkeypatch, rounds):
    monkeypatch.setattr("sys.argv", ["benchmarks", f"--rounds={rounds}"])
    with pytest.raises(SystemExit):
        main()
    assert f"1 or more, not '{rounds}'" in capsys.readouterr().err


def test_ratios_are_told_with_their_figure_and_their_spread(results, capsys):
    tell_ratios(results, [BULLMQ], [DRAIN, PICK_UP])
    assert capsys.readouterr().out.splitlines() == [
        "drain, concurrency 100   by jobs/s           trioq is    3.00 (3.00 to 3.00) times as good as BullMQ",
        "pick up                  by p50 ms           trioq is    4.00 (4.00 to 4.00) times as good as BullMQ",
    ]
