"""What stops a handler, and when."""

from __future__ import annotations

from typing import Any

import attrs

from tests.simulation.examples import shows
from tests.simulation.made_history import LEASE, MadeHistory
from trioq._core.lifecycle import Reclaim
from trioq.testing.simulation import rules
from trioq.testing.simulation.plan import Does, Leave, RunSpec

TICK = 1 / 64


def taken(made: MadeHistory, run_spec: RunSpec | None = None, **options: Any) -> MadeHistory:
    """A job that runs from the beginning on, and does what the turn says."""
    [first, *others] = made.plan.job_specs
    made.plan = attrs.evolve(made.plan, job_specs=(attrs.evolve(first, runs=(run_spec or RunSpec(),)), *others))
    return made.enqueue("j1", **options).take("w1.1", "j1")


@shows(rules.a_handler_that_lost_its_job_stops)
def a_handler_goes_on_and_on(made: MadeHistory, wrong: bool) -> None:
    taken(made).at(1).cancel("j1").at(2 + LEASE / 4 + TICK * wrong).end("w1.1", "j1", "cancelled").at(20).heal()


@shows(rules.a_handler_that_lost_its_job_stops)
def a_job_that_was_taken_away_goes_on(made: MadeHistory, wrong: bool) -> None:
    taken(made).at(LEASE).store("w2.1", "j1", Reclaim()).at(LEASE + (4 if wrong else 3))
    made.end("w1.1", "j1", "cancelled").at(20).heal()


@shows(rules.a_handler_that_lost_its_job_stops)
def a_frozen_process_cannot_notice_a_cancel(made: MadeHistory, wrong: bool) -> None:
    taken(made).at(1).freeze("w1.1").cancel("j1").at(5 if wrong else 30).thaw("w1.1")
    made.at(31).end("w1.1", "j1", "cancelled").at(50).heal()


@shows(rules.a_handler_that_lost_its_job_stops)
def only_a_lost_renewal_keeps_a_cancel_from_its_handler(made: MadeHistory, wrong: bool) -> None:
    taken(made).at(1).cancel("j1").at(5).hurt("w1.1", "claim" if wrong else "renew", 2.0).at(7)
    made.end("w1.1", "j1", "cancelled").at(20).heal()


@shows(rules.a_handler_that_lost_its_job_stops)
def only_who_resists_takes_longer(made: MadeHistory, wrong: bool) -> None:
    run_spec = RunSpec(Does.HANG if wrong else Does.RESIST, 20.0)
    taken(made, run_spec).at(1).cancel("j1").at(20).end("w1.1", "j1", "cancelled").at(40).heal()


@shows(rules.a_handler_ends_by_its_timeout)
def a_handler_outlives_its_timeout(made: MadeHistory, wrong: bool) -> None:
    taken(made, timeout=2.0).at(3 + TICK * wrong).end("w1.1", "j1", "cancelled").at(20).heal()


@shows(rules.a_handler_ends_by_its_timeout)
def who_stands_still_stops_no_handler(made: MadeHistory, wrong: bool) -> None:
    made.at(1 if wrong else 2).freeze("w1.1")
    taken(made.at(0), timeout=2.0).at(5).thaw("w1.1").at(6 if not wrong else 7).end("w1.1", "j1", "cancelled")
    made.at(20).heal()


@shows(rules.a_handler_ends_with_the_grace)
def a_handler_outlives_the_grace(made: MadeHistory, wrong: bool) -> None:
    taken(made).at(3).drain("w1.1", 2.0).at(6 + TICK * wrong).end("w1.1", "j1", "cancelled").at(20).heal()


@shows(rules.a_handler_ends_with_the_grace)
def a_worker_gives_its_handlers_more_than_it_was_told(made: MadeHistory, wrong: bool) -> None:
    leave = Leave(process="w1", at=3.0, grace=2.0 if wrong else 8.0)
    taken(made).at(3).strike("w1.1", leave).drain("w1.1", 8.0).at(11).end("w1.1", "j1", "cancelled").at(20).heal()


@shows(rules.no_handler_is_cut_short_without_a_reason)
def a_handler_is_cut_short_within_the_grace(made: MadeHistory, wrong: bool) -> None:
    taken(made).at(3).drain("w1.1", 2.0).at(5 - TICK * wrong).end("w1.1", "j1", "cancelled")


@shows(rules.no_handler_is_cut_short_without_a_reason)
def a_worker_gives_its_handlers_less_than_it_was_told(made: MadeHistory, wrong: bool) -> None:
    leave = Leave(process="w1", at=3.0, grace=8.0 if wrong else 2.0)
    taken(made).at(3).strike("w1.1", leave)
    if not wrong:
        made.drain("w1.1", 2.0)
    made.at(5).end("w1.1", "j1", "cancelled")


@shows(rules.no_handler_is_cut_short_without_a_reason)
def a_timeout_comes_a_tick_too_early(made: MadeHistory, wrong: bool) -> None:
    taken(made, timeout=2.0).at(2 - TICK * wrong).end("w1.1", "j1", "cancelled")


@shows(rules.no_handler_is_cut_short_without_a_reason)
def a_cancel_stops_another_job(made: MadeHistory, wrong: bool) -> None:
    taken(made).enqueue("j2").at(1).cancel("j2" if wrong else "j1").end("w1.1", "j1", "cancelled")
