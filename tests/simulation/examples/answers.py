"""What clients are told."""

from __future__ import annotations

from tests.simulation.examples import shows
from tests.simulation.made_history import MadeHistory
from trioq._core.lifecycle import Cancel, Fail, Requeue
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import Paused
from trioq.testing.simulation.plan import Verb


@shows(rules.an_enqueue_is_answered_truly)
def a_known_job_is_called_new(made: MadeHistory, wrong: bool) -> None:
    operation = made.ask(Verb.ENQUEUE, "j1")
    made.insert("j1").forsake(operation).at(2)
    operation = made.ask(Verb.ENQUEUE, "j1")
    made.answer(operation, ("j1", wrong))


@shows(rules.an_enqueue_is_answered_truly)
def a_job_that_has_ended_is_said_to_hold_a_key(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", unique_key="k").at(1)
    if wrong:
        made.cancel("j1").at(2)
    operation = made.ask(Verb.ENQUEUE, "j2")
    made.answer(operation, ("j1", False))


@shows(rules.a_cancel_is_answered_truly)
def a_cancel_that_came_too_late_says_yes(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").at(1).run("w1.1", "j1")
    operation = made.ask(Verb.CANCEL, "j1")
    made.answer(operation, wrong)


@shows(rules.a_cancel_is_answered_truly)
def a_cancel_says_no_of_a_live_job(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").at(1)
    operation = made.ask(Verb.CANCEL, "j1")
    if not wrong:
        made.store("c2", "j1", Cancel())
    made.answer(operation, False)


@shows(rules.a_requeue_is_answered_truly)
def a_requeue_says_yes_of_a_live_job(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1").at(1)
    if not wrong:
        made.cancel("j1")
    operation = made.ask(Verb.REQUEUE, "j1")
    if not wrong:
        made.store("c1", "j1", Requeue())
    made.answer(operation, True)


@shows(rules.a_requeue_is_answered_truly)
def a_requeue_says_no_though_the_key_is_free(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", unique_key="k").cancel("j1").at(1).enqueue("j2", unique_key="l" if wrong else "k")
    operation = made.ask(Verb.REQUEUE, "j1")
    made.answer(operation, False)


@shows(rules.a_result_is_answered_truly)
def a_failure_is_called_a_result(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1", max_retries=0)
    operation = made.ask(Verb.RESULT, "j1")
    made.at(1).run("w1.1", "j1", "raised", Fail("no", 0.0)).answer(operation, "completed" if wrong else "failed")


@shows(rules.a_pause_that_is_answered_holds)
def a_pause_is_answered_and_never_made(made: MadeHistory, wrong: bool) -> None:
    operation = made.ask(Verb.PAUSE, "a")
    if not wrong:
        made.add(Paused(made.now, "c1", "a", True))
    made.answer(operation, None)
