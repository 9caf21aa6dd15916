"""The report of a history: short enough to read, and with all that its broken rules are about."""

from __future__ import annotations

import attrs

from tests.simulation.made_history import PLAN, MadeHistory
from trioq._core import events
from trioq._core.lifecycle import Complete
from trioq.testing.simulation.plan import Crash, Does, Freeze, JobSpec, RunSpec
from trioq.testing.simulation.report import SHORT, report
from trioq.testing.simulation.rules import broken

AGAIN = "python -m world 7"


def tell(made: MadeHistory) -> list[str]:
    history = made.history()
    return report(history, broken(history), AGAIN).splitlines()


def test_a_step_is_a_line_with_its_time_its_process_and_its_job():
    lines = tell(MadeHistory().at(3.25).enqueue("j1").take("w1.1", "j1"))
    assert "    3.250 w1.1 claims j1 (run 1)" in lines
    assert "    3.250 c1 is answered: enqueue j1: j1 is new" in lines


def test_the_plan_comes_first():
    job_specs = (
        JobSpec(id="j1", queue="a", runs=(RunSpec(Does.RAISE, 2.0), RunSpec(Does.SNOOZE, 1.0, 0.5)), max_retries=1),
    )
    faults = (Crash(process="w1", call=3), Freeze(process="w2", at=1.0, seconds=2.0))
    lines = tell(MadeHistory(attrs.evolve(PLAN, job_specs=job_specs, faults=faults)))
    assert lines[:7] == [
        "Seed 7, for 30 s, and no longer.",
        "  worker w1 of a: 2 slots, leases of 8 s, 2 starts in 1 s",
        "  worker w2 of a: 2 slots, leases of 8 s",
        "  job j1: on a, raises after 2 s, then snoozes after 1 s for 0.5 s (max_retries=1)",
        "  fault: crash of w1: call=3",
        "  fault: freeze of w2: at=1.0, seconds=2.0",
        "",
    ]


def test_broken_rules_come_last_with_their_sentences_and_how_to_see_it_again():
    lines = tell(MadeHistory().enqueue("j1").take("w1.1", "j1").store("w2.1", "j1", Complete(b"1")))
    sentence = "How a run ended is written only by the process that holds it at that moment."
    at = lines.index(f"Broken: {sentence} (only_its_holder_settles_a_run)")
    assert lines[at + 1] == "      0.000 w2.1 writes job:completed of j1, run 1, which w1.1 holds"
    assert lines[-2:] == ["To see it again:", f"  {AGAIN}"]


def test_a_history_that_breaks_nothing_says_so():
    assert "No rule is broken." in tell(MadeHistory())


def test_renewals_are_noise():
    lines = tell(MadeHistory().enqueue("j1").take("w1.1", "j1").at(2).renew("w1.1", "j1"))
    assert not any(line.startswith("    2.000") for line in lines)
    assert "What happened (1 entries that tell nothing new are left out):" in lines


def test_of_the_calls_that_fail_in_an_outage_the_first_is_told():
    made = MadeHistory().hurt("w1.1", "claim").at(1).hurt("w1.1", "claim").hurt("w1.1", "renew").at(2)
    made.tell_of_worker("w1.1", events.BackendRecovered, outage=2.0).hurt("w1.1", "claim")
    calls = [line for line in tell(made) if "has called" in line]
    assert [line.split(",")[0] for line in calls] == [
        "    0.000 w1.1 has called claim",
        "    1.000 w1.1 has called renew",
        "    2.000 w1.1 has called claim",
    ]


def test_a_long_report_leaves_out_the_jobs_that_no_broken_rule_names():
    made = MadeHistory().enqueue("j1", "j2").take("w1.1", "j1").store("w2.1", "j1", Complete(b"1"))
    for second in range(SHORT):
        made.at(second).tell("w2.1", events.JobProgress, "j2")
    lines = tell(made)
    assert any("of j1" in line for line in lines)
    assert not any("tells job:progress of j2" in line for line in lines)
