"""Every error that trioq raises on purpose.  Each holds data and writes its own sentence, which teaches the fix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class TrioqError(Exception):
    """The root of every error that trioq raises on purpose."""


# --- the store ----------------------------------------------------------------------------------


class BackendError(TrioqError):
    """The store refused a request, or answered with nonsense: repeating it won't help."""


class BackendUnavailable(BackendError):
    """The store can't be reached, or did not answer in time: try again.  After a write, the outcome is unknown."""

    #: Whether the store did answer, and refused, though not for the data of one item.
    refused: bool = False


def refusal(sentence: str) -> BackendUnavailable:
    """Return the error for what a store refuses now, but not for the data of one item, and may not refuse later."""
    error = BackendUnavailable(sentence)
    error.refused = True
    return error


class BackendNotOpen(BackendError):
    """A verb was called outside ``async with``."""

    def __init__(self, backend: object) -> None:
        self.backend = backend
        super().__init__(
            f"{type(backend).__name__} is not open. Enter it, or a queue on it, first: `async with queue: ...`"
        )


class BackendBusy(BackendError):
    """A backend that is open in one ``trio.run`` was entered or used in another."""

    def __init__(self, backend: object) -> None:
        self.backend = backend
        super().__init__(
            f"{type(backend).__name__} is open in another trio.run. Call into that one, "
            "trio.from_thread.run(task.enqueue, ...), or give each thread's trio.run a backend of its own"
        )


class SchemaMissing(BackendError):
    """The store has no trioq tables, or older ones."""

    def __init__(self, url: str, schema: str = "trioq") -> None:
        self.url, self.schema = url, schema
        option = "" if schema == "trioq" else f" --schema {schema}"
        super().__init__(f"{url} has no trioq schema, or an older one. Create it with: trioq migrate {url}{option}")


class SchemaTooNew(BackendError):
    """A newer trioq wrote this store."""

    def __init__(self, where: str, found: int, known: int) -> None:
        self.where, self.found, self.known = where, found, known
        super().__init__(f"{where} has layout {found}, written by a newer trioq; this one knows {known}. Upgrade trioq")


class NotATrioqDatabase(BackendError):
    """The file is no SQLite database, or another program's."""

    def __init__(self, path: str, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"{path} is not a trioq database: {why}. It was left as it is; choose another path")


class Unsupported(TrioqError):
    """This backend doesn't have the verb."""

    def __init__(self, backend: object, verb: str) -> None:
        self.backend, self.verb = backend, verb
        super().__init__(f"{type(backend).__name__} does not support {verb}()")


class UnknownScheme(TrioqError, ValueError):
    """No backend has the scheme of this URL."""

    def __init__(self, url: str, known: Iterable[str]) -> None:
        self.url, self.known = url, tuple(known)
        super().__init__(f"cannot open {url!r}: no such backend. Known URLs: {', '.join(self.known)}")


class ExtraMissing(TrioqError, ImportError):
    """An optional dependency isn't installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.what, self.extra = what, extra
        super().__init__(f'{what} needs an extra. Install it with: pip install "trioq[{extra}]"')


# --- what goes into a queue ---------------------------------------------------------------------


class NotSerializable(TrioqError, TypeError):
    """A value that JSON would lose or change."""

    def __init__(self, what: str, why: str) -> None:
        self.what, self.why = what, why
        super().__init__(
            f"{what} can't be stored: {why}. What is annotated must fit its annotation, which may be any type that "
            "msgspec can decode; what isn't must be a JSON value (str, int, float, bool, None, list, dict)"
        )


class PayloadTooLarge(TrioqError, ValueError):
    """Arguments, a result or metadata over ``settings.max_payload_bytes``, or a progress report over 64 KiB."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        self.what, self.size, self.limit = what, size, limit
        super().__init__(
            f"{what} would take {size:,} bytes as JSON, over the limit of {limit:,}. Store the data elsewhere "
            "and pass a reference; settings.max_payload_bytes is the limit of arguments, results and metadata"
        )


class WrongArguments(TrioqError, TypeError):
    """Arguments that the task's function wouldn't take."""

    def __init__(self, task: str, signature: object, why: str) -> None:
        self.task, self.signature, self.why = task, signature, why
        super().__init__(f"cannot call {task}{signature}: {why}")


class BadTask(TrioqError, TypeError):
    """Something that can't be a task."""

    def __init__(self, fn: object, why: str) -> None:
        self.fn, self.why = fn, why
        super().__init__(f"{getattr(fn, '__qualname__', repr(fn))} can't be a task: {why}")


class DuplicateTask(TrioqError, ValueError):
    """Two tasks of one queue under one name."""

    def __init__(self, queue: str, task: str) -> None:
        self.queue, self.task = queue, task
        super().__init__(
            f"queue {queue!r} has a task {task!r} already. Give one of them another: @queue.task(name=...)"
        )


class BadName(TrioqError, ValueError):
    """An id, queue or task name that a store could not keep safely."""

    def __init__(self, what: str, value: object) -> None:
        self.what, self.value = what, value
        super().__init__(f"{what} must be 1 to 200 printable ASCII characters, not {value!r:.220}")


class IdTaken(TrioqError, ValueError):
    """The id belongs to a job of another task."""

    def __init__(self, queue: str, id: str, task: str) -> None:
        self.queue, self.id, self.task = queue, id, task
        super().__init__(f"id {id!r} in queue {queue!r} belongs to a job of task {task!r}. Choose another id")


class NotAllStored(TrioqError):
    """``enqueue_many`` stopped half-way: ``stored`` are the handles of the jobs that are there, ``error`` says why."""

    def __init__(self, stored: Sequence[object], error: Exception) -> None:
        self.stored, self.error = tuple(stored), error
        if isinstance(error, BackendUnavailable):
            rest = "the chunk after them may be stored or not, and the rest were not tried"
        else:
            rest = "the others were refused or not tried"
        super().__init__(f"{len(stored):,} jobs are stored; {rest}: {type(error).__name__}: {error}")


# --- names and use ------------------------------------------------------------------------------


class UnknownQueue(TrioqError, LookupError):
    """No living Queue has this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name, self.known = name, tuple(known)
        super().__init__(f"no Queue named {name!r} lives in this process; there are: {', '.join(self.known) or 'none'}")


class NoTransaction(TrioqError, RuntimeError):
    """``Queue.within`` was given a connection that is in no transaction."""

    def __init__(self, connection: object) -> None:
        self.connection = connection
        super().__init__(
            "the connection commits each statement by itself, and is in no transaction. Begin one first: "
            "`async with connection.transaction(), queue.within(connection) as tx: ...`"
        )


class WorkerRunning(TrioqError, RuntimeError):
    """``Worker.start`` was called while the worker runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"worker {name!r} is running already. Make another Worker, or wait until start() returned")


class NoCurrentJob(TrioqError, RuntimeError):
    """``current_job`` was called outside a handler."""

    def __init__(self) -> None:
        super().__init__(
            "there is no current job: current_job() works inside a handler that a worker runs, and not in a sandboxed "
            "one. Pass what that needs as arguments"
        )


# --- how a job ended ----------------------------------------------------------------------------


class JobError(TrioqError):
    """A job that ended without a result."""

    def __init__(self, queue: str, id: str, sentence: str) -> None:
        self.queue, self.id = queue, id
        super().__init__(sentence)


class JobFailed(JobError):
    """The job failed for good; the text ends with the last error's type and message."""

    def __init__(self, queue: str, id: str, error: str) -> None:
        self.error = error
        super().__init__(queue, id, f"job {id} of queue {queue!r} failed: {error.rstrip().rpartition(chr(10))[2]}")


class JobCancelled(JobError):
    """The job was cancelled."""

    def __init__(self, queue: str, id: str, reason: str) -> None:
        self.reason = reason
        super().__init__(queue, id, f"job {id} of queue {queue!r} was cancelled" + (f": {reason}" if reason else ""))


class JobExpired(JobError):
    """The job was not started before its TTL ran out."""

    def __init__(self, queue: str, id: str) -> None:
        super().__init__(queue, id, f"job {id} of queue {queue!r} expired before a worker started it")


class JobNotFound(JobError, LookupError):
    """There is no such job, or its record is past retention."""

    def __init__(self, queue: str, id: str) -> None:
        super().__init__(queue, id, f"queue {queue!r} has no job {id}: none was committed, or it was pruned")
