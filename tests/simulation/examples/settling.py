"""How a run ends, and what is written of that."""

from __future__ import annotations

from tests.simulation.examples import shows
from tests.simulation.made_history import MadeHistory
from trioq._core.lifecycle import Complete, Expire, Fail, Reject, Release, Snooze
from trioq.testing.simulation import rules

TICK = 1 / 64


@shows(rules.a_run_is_settled_as_its_handler_ended)
def a_job_is_completed_before_it_has_run(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1")
    if not wrong:
        made.end("w1.1", "j1")
    made.store("w1.1", "j1", Complete(b"1"))


@shows(rules.a_run_is_settled_as_its_handler_ended)
def a_failure_is_completed(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").run("w1.1", "j1", "raised" if wrong else "returned")


@shows(rules.a_run_is_settled_as_its_handler_ended)
def a_result_is_thrown_away(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").drain("w1.1", 0.0).run("w1.1", "j1", "returned" if wrong else "cancelled", Release())


@shows(rules.a_run_is_settled_as_its_handler_ended)
def a_job_is_given_back_before_the_grace_ends(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(3).drain("w1.1", 2.0).at(5 - TICK * wrong).end("w1.1", "j1", "cancelled")
    made.store("w1.1", "j1", Release())


@shows(rules.a_run_is_settled_as_its_handler_ended)
def a_worker_gives_back_what_it_might_run(made: MadeHistory, wrong: bool) -> None:
    made.at(3).drain("w2.1" if wrong else "w1.1").enqueue("j1").claim("w1.1", "j1").store("w1.1", "j1", Release())
    made.at(20).heal()


@shows(rules.a_run_is_settled_as_its_handler_ended)
def what_may_be_too_late_is_given_back(made: MadeHistory, wrong: bool) -> None:
    made.at(3).enqueue("j1", ttl=1.0).at(3.5 if wrong else 4 - TICK).claim("w1.1", "j1").store("w1.1", "j1", Release())
    made.at(20).heal()


@shows(rules.a_run_is_settled_as_its_handler_ended)
def a_shutdown_is_counted_as_a_failure(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", timeout=2.0).take("w1.1", "j1").at(2 - TICK * wrong).end("w1.1", "j1", "cancelled")
    made.store("w1.1", "j1", Fail("TimedOut", 1.0)).stop("w1.1")


@shows(rules.a_run_is_settled_as_its_handler_ended)
def a_job_has_a_retry_less_than_it_may(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", max_retries=3).run("w1.1", "j1", "raised" if wrong else "rejected", Reject("no"))


@shows(rules.a_run_is_settled_as_its_handler_ended)
def a_snooze_is_made_up(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").run("w1.1", "j1", "retry" if wrong else "snooze", Snooze(2.0))


@shows(rules.a_run_is_settled_as_its_handler_ended)
def a_job_expires_while_it_runs(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", ttl=2.0).at(1).claim("w1.1", "j1")
    if wrong:
        made.begin("w1.1", "j1")
    made.at(2).store("w1.1", "j1", Expire())


@shows(rules.what_a_handler_did_is_stored_at_once)
def a_result_is_kept_waiting(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").at(1 + TICK * wrong)
    made.store("w1.1", "j1", Complete(b"1")).at(20).heal()


@shows(rules.what_a_handler_did_is_stored_at_once)
def an_outage_keeps_a_result_waiting(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").at(2)
    made.hurt("w2.1" if wrong else "w1.1", "settle").at(3).store("w1.1", "j1", Complete(b"1")).at(20).heal()
