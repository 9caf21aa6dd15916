"""Options of tasks and of single jobs: what counts where both say something."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from property_tests.strategies import backoffs, durations, json_objects, names
from trioq import InMemoryBackend, Queue, Settings
from trioq._core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Job
from trioq._core.lifecycle import stamp

#: The store time of all inserts here.
NOW: Final = 1_700_000_000.0

# A TTL longer than any delay: a job that would expire before it starts is refused, which is another rule.
_said: Final = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.integers(HIGHEST_PRIORITY, LOWEST_PRIORITY),
        "ttl": st.none() | durations().map(lambda seconds: seconds + 2_000.0),
        "timeout": st.none() | durations(),
        "max_retries": st.integers(0, 9),
        "backoff": backoffs,
        "unique_key": names,
        "metadata": json_objects,
    },
)
_start: Final = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"delay": durations()}),
    st.fixed_dictionaries({"run_at": durations().map(lambda seconds: datetime.fromtimestamp(NOW + seconds, UTC))}),
)
_retries: Final = st.integers(0, 9)


def _inserted(defaults: Settings, task: dict[str, Any], job: dict[str, Any]) -> Job:
    """The record of a job whose task says one thing, and which says another itself."""
    queue = Queue("mail", InMemoryBackend(), settings=defaults)

    @queue.task(**task)
    async def send() -> None: ...

    return stamp(send.options(**job).bind().job, 1, NOW)


@given(task=_said, job=_said, retries=_retries)
def test_what_is_said_for_one_job_counts(task: dict[str, Any], job: dict[str, Any], retries: int) -> None:
    """What is said for one job counts; else what its task says; else the settings of its queue, or the default."""
    record = _inserted(Settings(max_retries=retries), task, job)
    plain = _inserted(Settings(max_retries=retries), {}, {})
    assert plain.max_retries == retries
    said = task | job
    for name in ("priority", "ttl", "timeout", "max_retries", "backoff", "unique_key", "metadata"):
        assert getattr(record, name) == said.get(name, getattr(plain, name))


@given(task=_start, job=_start)
def test_one_start_replaces_another(task: dict[str, Any], job: dict[str, Any]) -> None:
    """A job has one start: a delay or a time that is given for it replaces both the delay and the time of its task."""
    start = job or task
    run_at = start["run_at"].timestamp() if "run_at" in start else NOW + start.get("delay", 0.0)
    assert _inserted(Settings(), task, job).run_at == run_at
