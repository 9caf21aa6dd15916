"""Errors hold data, have one root, and write a sentence that teaches the fix."""

from __future__ import annotations

import pytest

from trioq._core import errors, lifecycle, wire
from trioq._core.errors import TrioqError
from trioq._core.job import Job


def kinds(root: type[TrioqError]) -> set[type[TrioqError]]:
    return {kind for child in root.__subclasses__() for kind in {child, *kinds(child)}}


def test_every_error_of_the_core_has_the_one_root() -> None:
    found = {
        thing
        for module in (errors, lifecycle, wire)
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Exception)
    }
    assert found - {TrioqError} <= kinds(TrioqError)


@pytest.mark.parametrize(
    ("error", "builtin", "sentence"),
    [
        (
            errors.BackendNotOpen([]),
            None,
            "list is not open. Enter it, or a queue on it, first: `async with queue: ...`",
        ),
        (errors.BackendBusy([]), None, "or give each thread's trio.run a backend of its own"),
        (errors.SchemaMissing("postgresql://db"), None, "Create it with: trioq migrate postgresql://db"),
        (errors.SchemaMissing("postgresql://db", "jobs"), None, "trioq migrate postgresql://db --schema jobs"),
        (
            errors.SchemaTooNew("jobs.db", 9, 1),
            None,
            "jobs.db has layout 9, written by a newer trioq; this one knows 1",
        ),
        (errors.NotATrioqDatabase("x.db", "a PNG"), None, "x.db is not a trioq database: a PNG. It was left as it is"),
        (errors.Unsupported([], "migrate"), None, "list does not support migrate()"),
        (errors.UnknownScheme("ftp:x", ["memory:"]), ValueError, "cannot open 'ftp:x': no such backend"),
        (errors.ExtraMissing("Redis", "redis"), ImportError, 'pip install "trioq[redis]"'),
        (
            errors.NotSerializable("argument 'x'", "no"),
            TypeError,
            "argument 'x' can't be stored: no. What is annotated must fit",
        ),
        (
            errors.PayloadTooLarge("the result", 2_000, 1_000),
            ValueError,
            "2,000 bytes as JSON, over the limit of 1,000",
        ),
        (errors.WrongArguments("send", "(to)", "missing"), TypeError, "cannot call send(to): missing"),
        (errors.BadTask(print, "it is built in"), TypeError, "print can't be a task: it is built in"),
        (errors.DuplicateTask("q", "send"), ValueError, "Give one of them another: @queue.task(name=...)"),
        (errors.BadName("a queue name", ""), ValueError, "a queue name must be 1 to 200 printable ASCII characters"),
        (errors.IdTaken("q", "1", "send"), ValueError, "id '1' in queue 'q' belongs to a job of task 'send'"),
        (
            errors.NotAllStored([1, 2], errors.BackendError("no room")),
            None,
            "2 jobs are stored; the others were refused or not tried: BackendError: no room",
        ),
        (
            errors.NotAllStored([1, 2], errors.BackendUnavailable("gone")),
            None,
            "2 jobs are stored; the chunk after them may be stored or not, and the rest were not tried: Back",
        ),
        (errors.UnknownQueue("q", []), LookupError, "no Queue named 'q' lives in this process; there are: none"),
        (errors.UnknownQueue("q", ["a", "b"]), LookupError, "there are: a, b"),
        (errors.NoTransaction([]), RuntimeError, "Begin one first: `async with connection.transaction(), "),
        (errors.WorkerRunning("ada"), RuntimeError, "worker 'ada' is running already"),
        (
            errors.NoCurrentJob(),
            RuntimeError,
            "current_job() works inside a handler that a worker runs, and not in a sandboxed one",
        ),
        (errors.JobCancelled("q", "1", "enough"), None, "job 1 of queue 'q' was cancelled: enough"),
        (errors.JobCancelled("q", "1", ""), None, "job 1 of queue 'q' was cancelled"),
        (errors.JobExpired("q", "1"), None, "job 1 of queue 'q' expired before a worker started it"),
        (errors.JobNotFound("q", "1"), LookupError, "queue 'q' has no job 1"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, TrioqError) else "",
)
def test_an_error_writes_its_own_sentence(error: TrioqError, builtin: type[Exception] | None, sentence: str) -> None:
    assert sentence in str(error)
    assert isinstance(error, builtin or TrioqError)


def test_a_failed_job_ends_with_the_last_errors_type_and_message() -> None:
    error = errors.JobFailed("q", "1", "Traceback (most recent call last):\n  ...\nValueError: no\n")
    assert str(error).endswith("ValueError: no")
    assert (error.queue, error.id) == ("q", "1")


def test_unavailable_is_the_only_refusal_of_a_store_that_is_worth_another_try() -> None:
    assert issubclass(errors.BackendUnavailable, errors.BackendError)
    assert not errors.BackendUnavailable.__subclasses__()


def test_an_illegal_step_holds_the_job_and_the_command() -> None:
    job = Job(id="1", queue="q", task="t")
    error = lifecycle.IllegalStep(job, lifecycle.Complete())
    assert (error.job, error.command) == (job, lifecycle.Complete())
    assert str(error) == "cannot complete job 1: it is waiting"
