"""What is limited."""

from __future__ import annotations

from tests.simulation.examples import shows
from tests.simulation.made_history import BEGAN, MadeHistory
from trioq._core.job import State
from trioq._core.lifecycle import Expire, Fail
from trioq.testing.simulation import rules

TICK = 1 / 64


@shows(rules.no_worker_runs_more_than_it_has_slots_for)
def a_slot_too_many(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", "j2", "j3").take("w2.1", "j1").take("w2.1", "j2")
    if not wrong:
        made.end("w2.1", "j1")
    made.take("w2.1", "j3")


@shows(rules.no_window_has_more_starts_than_the_rate)
def the_third_start_comes_a_tick_too_early(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", "j2", "j3").at(0.5).run("w1.1", "j1").at(1).run("w1.1", "j2")
    made.at(1.5 - (TICK if wrong else 0)).run("w1.1", "j3")


@shows(rules.a_job_on_its_last_life_runs_alone)
def the_last_life_has_company(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", max_crashes=1).enqueue("j2").take("w2.1", "j1").at(1)
    if not wrong:
        made.end("w2.1", "j1")
    made.take("w2.1", "j2")


@shows(rules.no_job_has_more_attempts_than_it_may)
def failures_are_forgotten(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", max_retries=0).run("w1.1", "j1", "raised", Fail("no", 0.0)).at(1)
    if wrong:
        made.records["j1"] = made.records["j1"].having({"state": State.WAITING, "failures": 0})
    else:
        made.requeue("j1")
    made.run("w1.1", "j1", "raised", Fail("no", 0.0))


@shows(rules.nothing_begins_after_its_ttl)
def a_ttl_is_a_tick_off(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", ttl=2.0).at(2 - (0 if wrong else TICK)).take("w1.1", "j1")


@shows(rules.nothing_begins_after_its_ttl)
def a_job_waits_in_its_worker_until_it_is_too_late(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", ttl=2.0).at(1).claim("w1.1", "j1").at(2 + (TICK if wrong else -TICK))
    made.hurt("w1.1", "claim", 1.0).begin("w1.1", "j1")


@shows(rules.nothing_begins_after_its_ttl)
def only_the_first_reply_may_have_been_long_on_its_way(made: MadeHistory, wrong: bool) -> None:
    late = 30 if wrong else 0
    made.at(late).enqueue("j1", ttl=2.0).at(late + 1).claim("w1.1", "j1").at(late + 3).hurt("w1.1", "claim", 3.0)
    made.begin("w1.1", "j1")


@shows(rules.only_what_is_too_late_expires)
def a_job_expires_a_tick_too_early(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", ttl=2.0).at(2).store("w1.1", "j1", Expire(), finished_at=BEGAN + 2 - (TICK if wrong else 0))
