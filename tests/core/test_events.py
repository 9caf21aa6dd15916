"""What each event holds: made from the record after the change that it tells of."""

from __future__ import annotations

import pytest

from trioq._core import events
from trioq._core.events import Event, JobEvent, WorkerEvent
from trioq._core.job import Job, State
from trioq._core.lifecycle import Cancel, Claim, Command, Complete, Fail, Reclaim, Reject, Release, Snooze, stamp, step

NOW = 1_000.0


def told(*commands: Command, **options: object) -> JobEvent:
    """The event of the last of these steps of a job that was claimed five seconds ago."""
    job = stamp(Job(id="1", queue="q", task="t", **options), seq=1, now=NOW - 5)  # type: ignore[arg-type]
    change = step(job, Claim("ada-1", NOW), NOW - 5)
    for command in commands:
        job = job.after(change)
        change = step(job, command, NOW)
    return change.event.of(job.after(change), NOW)


def kinds(root: type[Event]) -> set[type[Event]]:
    return {kind for child in root.__subclasses__() for kind in {child, *kinds(child)}}


def test_the_names_are_the_promised_ones() -> None:
    job = "enqueued started progress completed retrying snoozed failed expired cancelled released lost stalled requeued"
    assert {kind.name for kind in kinds(Event) - {JobEvent, WorkerEvent}} == {
        *(f"job:{name}" for name in job.split()),
        *("queue:paused", "queue:resumed"),
        *("worker:started", "worker:draining", "worker:stopped"),
        *("backend:lost", "backend:recovered"),
    }


def test_a_job_event_has_a_snapshot_of_the_job_and_who_ran_it() -> None:
    event = told()
    assert isinstance(event, events.JobStarted)
    assert (event.queue, event.at, event.worker, event.run, event.attempt) == ("q", NOW, "ada-1", 1, 1)
    assert event.job.state is State.ACTIVE


def test_completed_tells_how_long_it_took() -> None:
    event = told(Complete(b"1"))
    assert isinstance(event, events.JobCompleted)
    assert event.duration == 5.0


def test_retrying_tells_the_error_the_delay_and_the_attempt_that_failed() -> None:
    event = told(Fail("no", 10.0))
    assert isinstance(event, events.JobRetrying)
    assert (event.error, event.delay, event.attempt) == ("no", 10.0, 1)


@pytest.mark.parametrize("command", [Fail("no", 10.0), Reject("no")])
def test_failed_tells_the_error_and_the_attempt_that_failed(command: Command) -> None:
    event = told(command, max_retries=0)
    assert isinstance(event, events.JobFailed)
    assert (event.error, event.duration, event.attempt) == ("no", 5.0, 1)


def test_failed_by_a_crash_tells_the_attempt_that_crashed() -> None:
    event = told(Reclaim(), max_crashes=1)
    assert isinstance(event, events.JobFailed)
    assert event.attempt == 1
    assert "lease" in event.error


def test_snoozed_tells_the_delay_and_spends_no_attempt() -> None:
    event = told(Snooze(60.0))
    assert isinstance(event, events.JobSnoozed)
    assert (event.delay, event.attempt) == (60.0, 1)


def test_cancelled_tells_the_reason() -> None:
    event = told(Cancel("unsubscribed"))
    assert isinstance(event, events.JobCancelled)
    assert event.reason == "unsubscribed"


def test_released_and_stalled_add_nothing() -> None:
    assert isinstance(told(Release()), events.JobReleased)
    assert isinstance(told(Reclaim()), events.JobStalled)


def test_progress_tells_the_last_report() -> None:
    job = Job(id="1", queue="q", task="t", progress=(0.5, "connected"))
    assert events.JobProgress.of(job, NOW).progress == (0.5, "connected")


def test_a_job_that_never_started_took_no_time() -> None:
    job = Job(id="1", queue="q", task="t", state=State.FAILED, error="unreadable", failures=1, finished_at=NOW)
    assert events.JobFailed.of(job, NOW).duration == 0.0
