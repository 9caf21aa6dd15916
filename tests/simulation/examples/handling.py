"""What handlers and whole workers may do."""

from __future__ import annotations

from tests.simulation.examples import shows
from tests.simulation.made_history import BEGAN, LEASE, Tale
from trioq._core.lifecycle import Reclaim, Release
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import Broke

# --- handlers -----------------------------------------------------------------------------------


@shows(rules.what_begins_was_claimed)
def a_handler_runs_what_another_has_claimed(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").claim("w1.1", "j1").begin("w2.1" if wrong else "w1.1", "j1")


@shows(rules.what_begins_was_claimed)
def a_claim_is_run_twice(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1")
    if wrong:
        tale.begin("w1.1", "j1")


@shows(rules.a_job_runs_in_one_place)
def a_job_that_is_released_runs_on(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").at(LEASE)
    tale.store("w2.1", "j1", Release() if wrong else Reclaim()).take("w2.1", "j1").at(9).end_turn("w1.1", "j1", 0)


# --- the end of a worker ------------------------------------------------------------------------


@shows(rules.who_stops_leaves_nothing_behind)
def a_slot_is_not_given_back(tale: Tale, wrong: bool) -> None:
    tale.stop("w1.1", borrowed=int(wrong))


@shows(rules.who_stops_leaves_nothing_behind)
def a_token_is_not_given_back(tale: Tale, wrong: bool) -> None:
    tale.stop("w1.1", tokens=int(wrong))


@shows(rules.who_drains_begins_nothing)
def a_handler_begins_in_a_worker_that_drains(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").claim("w1.1", "j1")
    tale.drain("w1.1" if wrong else "w2.1").begin("w1.1", "j1")


@shows(rules.who_stops_leaves_nothing_behind)
def a_worker_leaves_what_the_store_would_take(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").at(5).hurt("w2.1" if wrong else "w1.1", "settle")
    tale.stop("w1.1", unsettled=("j1",))


@shows(rules.who_stops_leaves_nothing_behind)
def a_job_is_left_under_its_lease(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").at(5).hurt("w1.1", "settle")
    tale.stop("w1.1", unsettled=() if wrong else ("j1",))


@shows(rules.who_stops_leaves_nothing_behind)
def a_handler_outlives_its_worker(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").take("w1.1", "j1")
    if not wrong:
        tale.end("w1.1", "j1", "cancelled")
    tale.store("w1.1", "j1", Release()).stop("w1.1")


@shows(rules.no_worker_breaks)
def a_worker_raises(tale: Tale, wrong: bool) -> None:
    if wrong:
        tale.add(Broke(BEGAN, "w1.1", "KeyError('j1')"))
