"""What a run leaves in its record."""

from __future__ import annotations

import attrs

from tests.simulation.examples import shows
from tests.simulation.made_history import LEASE, MadeHistory
from trioq._core.lifecycle import Complete, Fail, Reclaim, Reject, Release, Snooze
from trioq.testing.simulation import rules
from trioq.testing.simulation.plan import Does, RunSpec

TICK = 1 / 64


def planned(made: MadeHistory, *runs: RunSpec, backoff: float = 0.5) -> MadeHistory:
    """The first job does these turns, and is there."""
    [first, *others] = made.plan.job_specs
    made.plan = attrs.evolve(made.plan, job_specs=(attrs.evolve(first, runs=runs, backoff=backoff), *others))
    return made.enqueue("j1")


@shows(rules.a_result_is_what_was_returned)
def a_result_is_that_of_an_earlier_run(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").run("w1.1", "j1", "snooze", Snooze(0.0)).take("w1.1", "j1").end("w1.1", "j1")
    made.store("w1.1", "j1", Complete(b'"j1 in run 1"' if wrong else b'"j1 in run 2"'))


@shows(rules.an_error_says_what_went_wrong)
def an_error_is_made_up(made: MadeHistory, wrong: bool) -> None:
    error = "ValueError: no" if wrong else "Traceback\nValueError: as planned"
    made.enqueue("j1").run("w1.1", "j1", "raised", Fail(error, 0.5))


@shows(rules.an_error_says_what_went_wrong)
def a_rejection_loses_its_reason(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").run("w1.1", "j1", "rejected", Reject("Reject: " if wrong else "Reject: as planned"))


@shows(rules.an_error_says_what_went_wrong)
def a_timeout_is_told_by_who_raised_in_time(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", timeout=2.0).take("w1.1", "j1").at(2 - TICK * wrong).end("w1.1", "j1", "raised")
    made.store("w1.1", "j1", Fail("TimedOut: the handler took longer than its timeout of 2 s", 0.5))


@shows(rules.an_error_says_what_went_wrong)
def a_crash_names_the_wrong_worker(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", max_crashes=1).take("w1.1", "j1").die("w1.1").at(LEASE)
    lost = "w2.1:0" if wrong else "w1.1:0"
    made.store("w2.1", "j1", Reclaim(), error=f"the lease of worker {lost} ran out in run 1")


@shows(rules.progress_is_what_was_reported)
def a_job_reports_before_it_has_come_so_far(made: MadeHistory, wrong: bool) -> None:
    planned(made, RunSpec(after=4.0)).take("w1.1", "j1").at(2 - TICK * wrong).renew("w1.1", "j1")
    made.entries[-1] = attrs.evolve(made.entries[-1], job=made.records["j1"].having({"progress": {"fraction": 0.5}}))


@shows(rules.progress_is_what_was_reported)
def the_last_report_is_lost(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").take("w1.1", "j1").end("w1.1", "j1")
    made.store("w1.1", "j1", Complete(b"1"), progress=None if wrong else {"fraction": 0.5})


@shows(rules.progress_is_what_was_reported)
def a_requeue_keeps_the_progress(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").run("w1.1", "j1").requeue("j1")
    kept = {"fraction": 0.5} if wrong else None
    made.records["j1"] = made.records["j1"].having({"progress": kept})
    made.claim("w1.1", "j1")


@shows(rules.a_delay_is_as_asked)
def a_snooze_is_too_short(made: MadeHistory, wrong: bool) -> None:
    snooze = RunSpec(Does.SNOOZE, delay=4.0)
    planned(made, snooze).run("w1.1", "j1", "snooze", Snooze(3.0 if wrong else 4.0))


@shows(rules.a_delay_is_as_asked)
def a_retry_comes_by_the_backoff_and_not_as_asked(made: MadeHistory, wrong: bool) -> None:
    retry = RunSpec(Does.RETRY, delay=4.0)
    planned(made, retry).run("w1.1", "j1", "retry", Fail("Retry: the handler asked for a retry", 0.5 if wrong else 4.0))


@shows(rules.a_delay_is_as_asked)
def the_backoff_does_not_grow(made: MadeHistory, wrong: bool) -> None:
    again = RunSpec(Does.RAISE)
    planned(made, again, again, backoff=4.0).run("w1.1", "j1", "raised", Fail("no", 3.0)).at(4)
    made.run("w1.1", "j1", "raised", Fail("no", 3.0 if wrong else 6.0))


@shows(rules.a_delay_is_as_asked)
def a_release_puts_a_job_off(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").claim("w1.1", "j1")
    made.store("w1.1", "j1", Release(), run_at=made.now + 5 if wrong else made.now)
