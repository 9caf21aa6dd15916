"""What handlers and whole workers may do."""

from __future__ import annotations

from tests.simulation.examples import shows
from tests.simulation.made_history import BEGAN, LEASE, MadeHistory
from trioq._core.lifecycle import Reclaim, Release
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import Broke

# --- handlers -----------------------------------------------------------------------------------


@shows(rules.what_begins_was_claimed)
def a_handler_runs_what_another_has_claimed(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").claim("w1.1", "j1").begin("w2.1" if wrong else "w1.1", "j1")


@shows(rules.what_begins_was_claimed)
def a_claim_is_run_twice(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1")
    if wrong:
        made.begin("w1.1", "j1")


@shows(rules.a_job_runs_in_one_place)
def a_job_that_is_released_runs_on(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(LEASE)
    made.store("w2.1", "j1", Release() if wrong else Reclaim()).take("w2.1", "j1").at(9).end_run("w1.1", "j1", 0)


# --- the end of a worker ------------------------------------------------------------------------


@shows(rules.a_stopped_worker_leaves_nothing_behind)
def a_slot_is_not_given_back(made: MadeHistory, wrong: bool) -> None:
    made.stop("w1.1", borrowed=int(wrong))


@shows(rules.a_stopped_worker_leaves_nothing_behind)
def a_token_is_not_given_back(made: MadeHistory, wrong: bool) -> None:
    made.stop("w1.1", tokens=int(wrong))


@shows(rules.a_draining_worker_begins_nothing)
def a_handler_begins_in_a_worker_that_drains(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").claim("w1.1", "j1")
    made.drain("w1.1" if wrong else "w2.1").begin("w1.1", "j1")


@shows(rules.a_stopped_worker_leaves_nothing_behind)
def a_worker_leaves_what_the_store_would_take(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").at(5).hurt("w2.1" if wrong else "w1.1", "settle")
    made.stop("w1.1", unsettled=("j1",))


@shows(rules.a_stopped_worker_leaves_nothing_behind)
def a_job_is_left_under_its_lease(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").at(5).hurt("w1.1", "settle")
    made.stop("w1.1", unsettled=() if wrong else ("j1",))


@shows(rules.a_stopped_worker_leaves_nothing_behind)
def a_handler_outlives_its_worker(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1")
    if not wrong:
        made.end("w1.1", "j1", "cancelled")
    made.store("w1.1", "j1", Release()).stop("w1.1")


@shows(rules.no_worker_breaks)
def a_worker_raises(made: MadeHistory, wrong: bool) -> None:
    if wrong:
        made.add(Broke(BEGAN, "w1.1", "KeyError('j1')"))
