"""The clients and the handlers of a simulated world, which use trioq by its public API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, Self

import trio

from ..._context import current_job, running_job
from ..._core.backoff import Exponential
from ..._core.errors import BackendUnavailable, JobCancelled, JobExpired, JobFailed
from ..._core.outcome import Reject, Retry, Snooze
from ..._core.settings import Settings
from ..._handle import JobHandle
from ..._queue import Queue
from ..._task import Task
from ...backends._base import Backend
from .history import Answered, Asked, Began, Broke, Ended, Unanswered, Write
from .plan import Does, JobSpec, Operation, RunSpec, Verb
from .processes import Process, current_process, now

#: How often a client asks while the store is away, and how many seconds it waits before it asks again.
TRIES: Final = 8
PAUSE: Final = 2.0


class Handlers:
    """The handlers of all tasks, in every queue and process: each run of a job does what its next RunSpec says."""

    def __init__(self, job_specs: Iterable[JobSpec], write: Write) -> None:
        self._job_specs = {spec.id: spec for spec in job_specs}
        self._write = write
        self._begun: Counter[str] = Counter()

    def queue(self, name: str, backend: Backend) -> Queue:
        """A queue whose tasks differ only in ``max_crashes``, which is no option of a job."""
        queue = Queue(name, backend=backend, settings=Settings())

        async def work(id: str) -> str:
            return await self._work(id)

        for crashes in {spec.max_crashes: None for spec in self._job_specs.values()}:
            queue.settings.max_crashes = crashes
            queue.task(name=f"work-{crashes}")(work)
        return queue

    async def _work(self, id: str) -> str:
        process = current_process()
        assert process is not None
        job = running_job.get().job
        number = self._begun[id]
        self._begun[id] += 1
        runs = self._job_specs[id].runs
        self._write(Began(now(), process.name, job, number))
        how, returned = "cancelled", None
        try:
            how = await _take(runs[number] if number < len(runs) else RunSpec(), process)
            returned = f"{id} in run {job.run}"
        except Exception as error:
            how = _HOW.get(type(error), "raised")
            raise
        finally:
            self._write(Ended(now(), process.name, job, number, how, returned))
        return returned


_HOW: Final = {Retry: "retry", Snooze: "snooze", Reject: "rejected"}


async def _take(run_spec: RunSpec, process: Process) -> str:
    """Do what *run_spec* says; answers how that ended, unless it raises."""
    if run_spec.does is Does.HANG:
        await trio.sleep_forever()
    with trio.CancelScope(shield=run_spec.does is Does.RESIST):
        await trio.sleep(run_spec.after / 2)
        current_job().progress(0.5)
        await trio.sleep(run_spec.after - run_spec.after / 2)
    match run_spec.does:
        case Does.RAISE:
            raise ValueError("as planned")
        case Does.RETRY:
            raise Retry(after=run_spec.delay)
        case Does.SNOOZE:
            raise Snooze(run_spec.delay)
        case Does.REJECT:
            raise Reject("as planned")
        case Does.KILL:
            process.kill()
            await trio.lowlevel.checkpoint()  # and never more
    return "returned"


class Client:
    """A client, which enqueues, cancels, requeues, waits for results, pauses and resumes."""

    def __init__(
        self, process: Process, queues: Mapping[str, Queue], job_specs: Iterable[JobSpec], write: Write
    ) -> None:
        self._name = process.name
        self._queues = queues
        self._job_specs = {spec.id: spec for spec in job_specs}
        self._handles: dict[str, JobHandle[Any]] = {}
        self._write = write
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for queue in self._queues.values():
            await self._open.enter_async_context(queue)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.aclose()  # noqa: ASYNC102  its parts shield themselves, with a deadline

    async def do(self, operation: Operation) -> None:
        """Ask, and ask again while the store is away; every operation can be repeated safely."""
        for _ in range(TRIES):
            self._write(Asked(now(), self._name, operation))
            try:
                answer = await self._ask(operation)
            except BackendUnavailable as error:
                self._write(Unanswered(now(), self._name, operation, str(error)))
            except Exception as error:
                self._write(Broke(now(), self._name, repr(error)))
                return
            else:
                self._write(Answered(now(), self._name, operation, answer))
                return
            await trio.sleep(PAUSE)

    async def _ask(self, operation: Operation) -> tuple[Any, ...]:
        if operation.verb is Verb.ENQUEUE:
            return await self._enqueue([self._job_specs[id] for id in operation.targets])
        return tuple([await self._ask_of(operation.verb, target) for target in operation.targets])

    async def _enqueue(self, job_specs: list[JobSpec]) -> tuple[Any, ...]:
        queue = self._queues[job_specs[0].queue]
        calls = [_with_options(queue.tasks[f"work-{spec.max_crashes}"], spec).bind(spec.id) for spec in job_specs]
        handles = await queue.enqueue_many(calls) if len(calls) > 1 else [await queue.submit(calls[0])]
        self._handles |= {spec.id: handle for spec, handle in zip(job_specs, handles, strict=True)}
        return tuple((handle.id, handle.created) for handle in handles)

    async def _ask_of(self, verb: Verb, target: str) -> Any:
        match verb:
            case Verb.PAUSE:
                return await self._queues[target].pause()
            case Verb.RESUME:
                return await self._queues[target].resume()
            case Verb.CANCEL:
                return await self._queues[self._job_specs[target].queue].cancel(target)
            case Verb.REQUEUE:
                return await self._queues[self._job_specs[target].queue].requeue(target)
            case _:
                return await self._result(target)

    async def _result(self, id: str) -> str | None:
        """How the job ended; None where this client has no handle of it."""
        if id not in self._handles:
            return None
        try:
            await self._handles[id].result()
        except JobFailed:
            return "failed"
        except JobCancelled:
            return "cancelled"
        except JobExpired:
            return "expired"
        return "completed"


def _with_options(task: Task[..., Any, Any], spec: JobSpec) -> Any:
    given: dict[str, Any] = {
        "id": spec.id,
        "delay": spec.delay,
        "ttl": spec.ttl,
        "timeout": spec.timeout,
        "priority": spec.priority,
        "max_retries": spec.max_retries,
        "backoff": Exponential(base=spec.backoff, factor=2, max_delay=60, jitter=0.5),
        "unique_key": spec.unique_key,
    }
    return task.options(**{name: value for name, value in given.items() if value is not None})
