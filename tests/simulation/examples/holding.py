"""Who may write how a run ended, and who may take a job from whom."""

from __future__ import annotations

import attrs

from tests.simulation.examples import shows
from tests.simulation.made_history import LEASE, MadeHistory
from trioq._core.lifecycle import Cancel, Complete, Reclaim
from trioq.testing.simulation import rules
from trioq.testing.simulation.plan import Verb

TICK = 1 / 64


@shows(rules.only_its_holder_settles_a_run)
def a_stranger_completes_a_job(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1").store("w2.1" if wrong else "w1.1", "j1", Complete(b"1"))


@shows(rules.only_clients_that_were_asked_cancel_and_requeue)
def a_worker_cancels_of_its_own_accord(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1")
    if not wrong:
        made.ask(Verb.CANCEL, "j1", by="w1.1")
    made.store("w1.1", "j1", Cancel())


# --- leases -------------------------------------------------------------------------------------


@shows(rules.a_job_is_taken_back_only_once_its_lease_ran_out)
def a_renewal_is_overlooked(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(2).renew("w1.1", "j1").at(2 + LEASE).store("w2.1", "j1", Reclaim())
    if wrong:
        made.entries[-2] = attrs.evolve(made.entries[-2], at=made.now - TICK)


@shows(rules.a_job_is_taken_back_only_once_its_lease_ran_out)
def a_worker_takes_its_own_job(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(LEASE).store("w1.1" if wrong else "w2.1", "j1", Reclaim())


@shows(rules.a_healthy_worker_keeps_its_jobs)
def a_lease_is_not_renewed(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(3)
    if not wrong:
        made.die("w1.1")
    made.at(LEASE).store("w2.1", "j1", Reclaim()).at(30).heal()


@shows(rules.a_healthy_worker_keeps_its_jobs)
def one_lost_renewal_costs_a_job(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(4).hurt("w1.1", "renew")
    if not wrong:
        made.at(7).hurt("w1.1", "renew")
    made.at(LEASE).store("w2.1", "j1", Reclaim()).at(30).heal()


@shows(rules.a_healthy_worker_keeps_its_jobs)
def only_what_renews_may_cost_a_job(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(LEASE - 0.5).hurt("w1.1", "get" if wrong else "renew", LEASE - 1.5)
    made.at(LEASE).store("w2.1", "j1", Reclaim()).at(30).heal()


@shows(rules.a_healthy_worker_keeps_its_jobs)
def what_overlaps_counts_once(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(1).freeze("w1.1").at(4).thaw("w1.1")
    made.at(4 if wrong else 7).hurt("w1.1", "renew", 3.0)
    made.at(LEASE).store("w2.1", "j1", Reclaim()).at(30).heal()


@shows(rules.a_healthy_worker_keeps_its_jobs)
def a_claim_that_was_answered_is_renewed(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").claim("w1.1", "j1").at(2).hurt("w1.1", "renew" if wrong else "claim", 0.5).at(5).freeze("w1.1")
    made.at(5.1).thaw("w1.1")
    made.at(LEASE).store("w2.1", "j1", Reclaim()).at(30).heal()


@shows(rules.a_healthy_worker_keeps_its_jobs)
def a_claim_that_was_not_answered_is_given_back(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").claim("w1.1", "j1").at(2).hurt("w1.1", "claim").at(6).hurt("w2.1" if wrong else "w1.1", "renew")
    made.at(LEASE).store("w2.1", "j1", Reclaim()).at(30).heal()


@shows(rules.a_worker_that_was_cut_off_takes_no_other_for_dead)
def an_outage_turns_jobs_into_crashes(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(1).hurt("w2.1", "renew").at(LEASE + (0 if wrong else 2))
    made.store("w2.1", "j1", Reclaim())


@shows(rules.a_worker_that_was_cut_off_takes_no_other_for_dead)
def only_a_write_that_left_before_the_outage_may_come_through(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(LEASE + 1).hurt("w2.1", "renew", 0.0).at(LEASE + 2)
    made.hurt("w2.1", "renew" if wrong else "settle", 2.0).at(LEASE + 3).store("w2.1", "j1", Reclaim())


@shows(rules.a_worker_that_was_cut_off_takes_no_other_for_dead)
def the_time_of_a_dead_workers_decision_is_unknown(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(LEASE + 1).hurt("w2.1", "renew", 0.0).at(LEASE + 2)
    if not wrong:
        made.die("w2.1")
    made.at(LEASE + 3).store("w2.1", "j1", Reclaim())


@shows(rules.a_worker_that_was_cut_off_takes_no_other_for_dead)
def who_stood_still_takes_others_for_dead(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(0.5).freeze("w2.1").at(4 if wrong else 1).thaw("w2.1")
    made.at(LEASE + 1.5).store("w2.1", "j1", Reclaim())


@shows(rules.a_worker_that_was_cut_off_takes_no_other_for_dead)
def a_worker_that_has_just_begun_takes_others_for_dead(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").at(LEASE).die("w2.1").start("w2.2")
    made.at(2 * LEASE - (TICK if wrong else 0)).store("w2.2", "j1", Reclaim())
