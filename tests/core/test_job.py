"""The record: its shelves, its invariants one by one, its copies."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from trioq._core.job import DEAD, Job, Shelf, State, broken_rules

JOB = Job(id="1", queue="q", task="t")
HELD = JOB.having({"state": State.ACTIVE, "worker": "ada-1", "lease_until": 9.0, "run": 1, "version": 1})
FAILED = HELD.having({"state": State.FAILED, "lease_until": None, "finished_at": 9.0, "error": "no", "failures": 1})


def test_every_state_lies_on_the_shelf_that_is_spelt_here() -> None:
    assert {state.value: state.shelf.value for state in State} == {
        "waiting": "ready",
        "delayed": "timed",
        "blocked": "parked",
        "active": "held",
        "completed": "final",
        "failed": "final",
        "expired": "final",
        "cancelled": "final",
    }
    assert all(state.final == (state.shelf is Shelf.FINAL) for state in State)


def test_failed_and_expired_jobs_want_a_look() -> None:
    assert {State.FAILED, State.EXPIRED} == DEAD


def test_an_attempt_is_failures_and_one() -> None:
    assert JOB.attempt == 1
    assert FAILED.having({"crashes": 2, "snoozes": 5}).attempt == 2


def test_a_job_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        JOB.state = State.ACTIVE  # type: ignore[misc]


def test_a_copy_differs_in_what_was_asked_and_leaves_the_original() -> None:
    copy = JOB.having({"priority": 5})
    assert copy == attrs.evolve(JOB, priority=5)
    assert JOB.priority == 0


def test_a_bare_job_has_no_arguments() -> None:
    assert JOB.arguments() == ([], {})
    assert JOB.having({"payload": b'[[1],{"a":null}]'}).arguments() == ([1], {"a": None})


@pytest.mark.parametrize("job", [JOB, HELD, FAILED])
def test_a_sound_job_breaks_no_rule(job: Job) -> None:
    assert broken_rules(job) == []


@pytest.mark.parametrize(
    ("job", "fields", "rule"),
    [
        (HELD, {"lease_until": None}, "a lease exactly while held"),
        (JOB, {"lease_until": 9.0}, "a lease exactly while held"),
        (HELD, {"worker": None}, "a held job has an owner"),
        (FAILED, {"finished_at": None}, "finished_at exactly when final"),
        (JOB, {"finished_at": 9.0}, "finished_at exactly when final"),
        (JOB, {"cancel_reason": ""}, "a cancel reason exactly when cancelled"),
        (FAILED, {"state": State.CANCELLED}, "a cancel reason exactly when cancelled"),
        (JOB, {"result": b"1"}, "a result only when completed"),
        (FAILED, {"error": None}, "a failed job has an error"),
        (FAILED, {"state": State.EXPIRED}, "only a job with a TTL expires"),
        (JOB, {"ttl": 1.0}, "expires_at exactly when there is a ttl"),
        (JOB, {"expires_at": 1.0}, "expires_at exactly when there is a ttl"),
        (JOB, {"snoozes": -1}, "counters never go below zero"),
        (JOB, {"run": -1}, "counters never go below zero"),
        (HELD, {"failures": 1, "crashes": 1}, "a run is counted before it ends"),
        (HELD, {"run": 2}, "every claim is a change"),
        (JOB, {"failures": 4, "run": 4, "version": 8}, "a job within its limits, or final"),
        (JOB, {"crashes": 3, "run": 3, "version": 6}, "a job within its limits, or final"),
        (JOB, {"priority": 2**15}, "a priority of 16 bits"),
        (JOB, {"priority": -(2**15) - 1}, "a priority of 16 bits"),
    ],
)
def test_a_broken_rule_is_named(job: Job, fields: dict[str, Any], rule: str) -> None:
    assert rule in broken_rules(job.having(fields))


@pytest.mark.parametrize("priority", [2**15 - 1, -(2**15)])
def test_a_priority_may_use_all_its_16_bits(priority: int) -> None:
    assert broken_rules(JOB.having({"priority": priority})) == []
