"""What an event holds, and what a slow subscriber gets of many.  When a worker emits which is simulated elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import attrs
import trio
from hypothesis import given
from hypothesis import strategies as st

from property_tests import strategies as sts
from trioq._bus import EventEmitter, Subscription
from trioq._core.events import EVENT_NAMES, Event, JobProgress
from trioq._core.job import Job
from trioq._core.lifecycle import TABLE, Command, IllegalStep, step

#: Every kind of event that is about a job.
_KINDS = sorted({JobProgress, *(event for rule in TABLE.values() for event in rule.targets.values())}, key=repr)

_two_jobs = st.sampled_from([Job(id=id, queue="q", task="t") for id in "12"])
_events = st.builds(lambda kind, job, at: kind.of(job, at), st.sampled_from(_KINDS), _two_jobs, sts.moments)
_reports = st.builds(JobProgress.of, _two_jobs, sts.moments)
#: Half of them are progress of two jobs, so that some of it waits together.
_streams = st.lists(_reports | _events, max_size=20)

_patterns = st.sampled_from(["*", "job:*", "queue:*", "*ed", *sorted(EVENT_NAMES)])


def received(subscription: Subscription) -> list[Event]:
    """All that waits for the subscriber."""
    subscription.close()

    async def main() -> list[Event]:
        return [event async for event in subscription]

    return trio.run(main)


def delivered(events: Iterable[Event], buffer: int = 1_000) -> tuple[list[Event], int]:
    """What a late reader gets of these, and how many it was told that it has lost."""
    subscription = Subscription("*", buffer)
    for event in events:
        subscription.put(event)
    return received(subscription), subscription.dropped


@given(job=sts.jobs(), command=sts.commands, now=sts.moments)
def test_each_change_is_told_by_one_event_with_the_record_after_it(job: Job, command: Command, now: float) -> None:
    """Each change is told by the one event that the table has for it, which holds the record after the change, its
    queue, its run, its worker and the time.
    """
    try:
        change = step(job, command, now)
    except IllegalStep:
        return
    after = job.after(change)
    assert change.event is TABLE[type(command)].targets[after.state]
    told = change.event.of(after, now)
    assert (told.job, told.queue, told.run, told.worker, told.at) == (after, job.queue, after.run, after.worker, now)


@given(job=sts.records, started=sts.moments, finished=sts.moments, now=sts.moments)
def test_any_event_can_tell_of_any_job(job: Job, started: float, finished: float, now: float) -> None:
    """Any event about a job can be made of any record, and no delay or duration in it is negative."""
    job = job.having({"started_at": started, "finished_at": finished})  # by clocks that may be off
    for kind in _KINDS:
        told = attrs.asdict(kind.of(job, now), recurse=False)
        assert all(told[name] >= 0 for name in ("delay", "duration") if name in told)


@given(events=st.lists(_events.filter(lambda event: not isinstance(event, JobProgress)), max_size=20))
def test_a_subscriber_gets_all_events_in_order(events: list[Event]) -> None:
    """A subscriber gets all events, in the order in which they were emitted."""
    assert delivered(events) == (events, 0)


@given(events=_streams)
def test_only_the_last_progress_of_a_job_waits(events: list[Event]) -> None:
    """Of the progress of one job that a subscriber has not read yet only the last is kept, where it belongs in time."""
    last = {(event.queue, event.job.id): event for event in events if isinstance(event, JobProgress)}.values()
    kept = [event for event in events if not isinstance(event, JobProgress) or any(event is one for one in last)]
    assert delivered(events)[0] == kept


@given(events=_streams, buffer=st.integers(1, 5))
def test_a_slow_subscriber_loses_the_oldest_and_knows_how_many(events: list[Event], buffer: int) -> None:
    """A slow subscriber keeps the last events that fit its buffer, loses the older ones, and is told how many."""
    kept, dropped = delivered(events, buffer)
    whole, _ = delivered(events)
    assert kept == whole[-buffer:]
    assert dropped >= len(whole) - len(kept)  # more, where a later progress took the place of one that was lost
    if not any(isinstance(event, JobProgress) for event in events):
        assert dropped == len(whole) - len(kept)


@given(patterns=st.lists(_patterns, max_size=3), name=st.sampled_from(sorted(EVENT_NAMES)))
def test_an_event_is_wanted_exactly_where_a_pattern_matches(patterns: list[str], name: str) -> None:
    """An event is wanted exactly while a subscription's pattern matches its name: else none is built."""
    emitter = EventEmitter()
    leave = [emitter.on(pattern, print) for pattern in patterns]
    assert emitter.wants(name) == any(fnmatchcase(name, pattern) for pattern in patterns)
    for unsubscribe in leave:
        unsubscribe()
    assert not emitter.wants(name)
