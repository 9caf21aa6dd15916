"""What clients are told."""

from __future__ import annotations

from tests.simulation.examples import shows
from tests.simulation.made_history import Tale
from trioq._core.lifecycle import Cancel, Fail, Requeue
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import Paused
from trioq.testing.simulation.plan import Verb


@shows(rules.an_enqueue_is_answered_truly)
def a_known_job_is_called_new(tale: Tale, wrong: bool) -> None:
    act = tale.ask(Verb.ENQUEUE, "j1")
    tale.insert("j1").forsake(act).at(2)
    act = tale.ask(Verb.ENQUEUE, "j1")
    tale.answer(act, ("j1", wrong))


@shows(rules.an_enqueue_is_answered_truly)
def a_job_that_has_ended_is_said_to_hold_a_key(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1", unique_key="k").at(1)
    if wrong:
        tale.cancel("j1").at(2)
    act = tale.ask(Verb.ENQUEUE, "j2")
    tale.answer(act, ("j1", False))


@shows(rules.a_cancel_is_answered_truly)
def a_cancel_that_came_too_late_says_yes(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").at(1).run("w1.1", "j1")
    act = tale.ask(Verb.CANCEL, "j1")
    tale.answer(act, wrong)


@shows(rules.a_cancel_is_answered_truly)
def a_cancel_says_no_of_a_live_job(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").at(1)
    act = tale.ask(Verb.CANCEL, "j1")
    if not wrong:
        tale.store("c2", "j1", Cancel())
    tale.answer(act, False)


@shows(rules.a_requeue_is_answered_truly)
def a_requeue_says_yes_of_a_live_job(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1").at(1)
    if not wrong:
        tale.cancel("j1")
    act = tale.ask(Verb.REQUEUE, "j1")
    if not wrong:
        tale.store("c1", "j1", Requeue())
    tale.answer(act, True)


@shows(rules.a_requeue_is_answered_truly)
def a_requeue_says_no_though_the_key_is_free(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1", unique_key="k").cancel("j1").at(1).enqueue("j2", unique_key="l" if wrong else "k")
    act = tale.ask(Verb.REQUEUE, "j1")
    tale.answer(act, False)


@shows(rules.a_result_is_answered_truly)
def a_failure_is_called_a_result(tale: Tale, wrong: bool) -> None:
    tale.enqueue("j1", max_retries=0)
    act = tale.ask(Verb.RESULT, "j1")
    tale.at(1).run("w1.1", "j1", "raised", Fail("no", 0.0)).answer(act, "completed" if wrong else "failed")


@shows(rules.a_pause_that_is_answered_holds)
def a_pause_is_answered_and_never_made(tale: Tale, wrong: bool) -> None:
    act = tale.ask(Verb.PAUSE, "a")
    if not wrong:
        tale.add(Paused(tale.now, "c1", "a", True))
    tale.answer(act, None)
