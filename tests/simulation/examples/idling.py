"""How soon a worker does what it can do."""

from __future__ import annotations

from tests.simulation.examples import shows
from tests.simulation.made_history import MadeHistory
from trioq._core.lifecycle import Release
from trioq.testing.simulation import rules
from trioq.testing.simulation.plan import HintFault, Hints, Partition

TICK = 1 / 64


@shows(rules.no_worker_idles_beside_ready_work)
def a_ready_job_lies_there(made: MadeHistory, wrong: bool) -> None:
    made.at(20).enqueue("j1").at(25 + TICK * wrong).run("w1.1", "j1").at(70).heal()


@shows(rules.no_worker_idles_beside_ready_work)
def every_worker_is_busy(made: MadeHistory, wrong: bool) -> None:
    made.at(45).enqueue("j1", "j2").take("w1.1", "j1").take("w1.1", "j2").at(50).stop("w2.1")
    if wrong:
        made.end("w1.1", "j2")
    made.at(50.5).enqueue("j3").at(70).end("w1.1", "j1").take("w1.1", "j3").at(80).heal()


@shows(rules.no_worker_idles_beside_ready_work)
def who_was_in_trouble_comes_to_itself(made: MadeHistory, wrong: bool) -> None:
    made.stop("w2.1").at(10).enqueue("j1").at(20).hurt("w1.1", "claim", 9.0).at(28 if wrong else 27).take("w1.1", "j1")
    made.at(70).heal()


@shows(rules.no_worker_idles_beside_ready_work)
def a_token_comes_back(made: MadeHistory, wrong: bool) -> None:
    made.stop("w2.1").at(10).enqueue("j1", "j2", "j3").run("w1.1", "j1").run("w1.1", "j2")
    made.at(16 + TICK * wrong).take("w1.1", "j3").at(70).heal()


@shows(rules.hints_spare_the_wait)
def a_job_waits_for_a_poll(made: MadeHistory, wrong: bool) -> None:
    made.at(20).enqueue("j1").at(21 + TICK * wrong).run("w1.1", "j1").at(70).heal()


@shows(rules.hints_spare_the_wait)
def only_a_worker_without_hints_waits_for_a_poll(made: MadeHistory, wrong: bool) -> None:
    made.at(18).strike("w1", Hints(process="w1", at=18.0, seconds=5.0, what=HintFault.DROPPED))
    if not wrong:
        made.strike("w2", Partition(process="w2", at=18.0, seconds=1.0, silent=True))
    made.at(20).enqueue("j1").at(22).run("w1.1", "j1").at(70).heal()


@shows(rules.hints_spare_the_wait)
def a_job_on_its_last_life_waits_for_an_empty_worker(made: MadeHistory, wrong: bool) -> None:
    made.at(20).enqueue("j2", "j3").take("w1.1", "j2").take("w2.1", "j3").at(21).enqueue("j1", max_crashes=1)
    made.at(24 if wrong else 30).end("w2.1", "j3").at(30).take("w2.1", "j1").at(70).heal()


@shows(rules.what_is_claimed_begins_at_once)
def a_job_lies_about_in_its_worker(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").at(3).claim("w1.1", "j1").at(4 + TICK * wrong).begin("w1.1", "j1").at(20).heal()


@shows(rules.what_is_claimed_begins_at_once)
def what_does_not_begin_is_given_back(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").at(3).claim("w1.1", "j1").at(3.5).drain("w1.1")
    if not wrong:
        made.store("w1.1", "j1", Release())
    made.at(20).heal()


@shows(rules.what_is_claimed_begins_at_once)
def a_reply_that_takes_long_is_waited_for(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").at(3).claim("w1.1", "j1").at(5).hurt("w2.1" if wrong else "w1.1", "claim", 2.5)
    made.begin("w1.1", "j1").at(20).heal()


@shows(rules.a_cancel_is_heard_at_once)
def a_cancel_waits_for_a_renewal(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(5).cancel("j1").at(6 + TICK * wrong).end("w1.1", "j1", "cancelled")
    made.at(20).heal()


@shows(rules.a_cancel_is_heard_at_once)
def only_a_worker_without_hints_notices_a_cancel_later(made: MadeHistory, wrong: bool) -> None:
    without = "w2" if wrong else "w1"
    made.enqueue("j1").take("w1.1", "j1").at(4)
    made.strike(without, Hints(process=without, at=4.0, seconds=5.0, what=HintFault.LATE)).at(5).cancel("j1")
    made.at(7).end("w1.1", "j1", "cancelled").at(20).heal()
