"""The queue: what producers and operators do with jobs.  It never runs one."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, Unpack, overload
from weakref import WeakSet

import attrs

from ._bus import event_emitter
from ._context import find_running
from ._core import payload
from ._core.batches import batches
from ._core.errors import DuplicateTask, IdTaken, NotAllStored, UnknownQueue
from ._core.events import JobEnqueued, QueuePaused, QueueResumed
from ._core.identifiers import check_name
from ._core.job import DEAD, Job, State
from ._core.lifecycle import Cancel, Command, IllegalStep, Requeue, step
from ._core.outcome import cut
from ._core.settings import Settings
from ._handle import JobHandle
from ._results import Results
from ._settings import settings as process_settings
from ._task import Call, Decorator, Options, Task, check_function, with_options
from ._transaction import QueueInTransaction
from .backends import Backend, open_backend
from .backends._base import Filter, Inserted, Verdict
from .sandbox import Target

P = ParamSpec("P")
R = TypeVar("R")

#: ``enqueue_many`` sends this many jobs, or this many bytes of arguments and metadata, in one round trip.
CHUNK_JOBS: Final = 1_000
CHUNK_BYTES: Final = 4 * 2**20

_living: Final[WeakSet[Queue]] = WeakSet()
_numbers: Final = count()


class Queue:
    """Jobs under one name in one store, and the tasks that run them.

    ::

        queue = trioq.Queue("emails", backend="sqlite:emails.db")


        @queue.task(max_retries=3)
        async def send(to: str) -> str: ...


        async with queue:
            job = await send.enqueue("a@example.org")

    ``async with queue`` opens its backend; any number of tasks may enter, and leave in any order.
    """

    def __init__(self, name: str, backend: Backend | str | None = None, settings: Settings | None = None) -> None:
        self.name = check_name("a queue name", name)
        #: A copy, made with the queue: assigning to its fields changes this queue alone.
        self.settings: Settings = _snapshot(process_settings if settings is None else settings)
        self._backend = _opened(self.settings.backend if backend is None else backend)
        self.tasks: dict[str, Task[..., Any, Any]] = {}
        self._results = Results(self._backend, name)
        self._users = 0
        self.number = next(_numbers)  #: a later Queue of the same name has a higher one
        _living.add(self)

    def __repr__(self) -> str:
        return f"<Queue {self.name!r} on {self.backend!r}>"

    async def __aenter__(self) -> Self:
        await self.backend.__aenter__()
        event_emitter.attach()
        self._users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._users == 0:
            self._results.close()
        await event_emitter.detach()  # noqa: ASYNC102  it shields itself, with a deadline
        await self.backend.__aexit__(kind, error, trace)  # noqa: ASYNC102  likewise

    @property
    def backend(self) -> Backend:
        """The store.  Another one can be put in its place while the queue isn't open, as tests do."""
        return self._backend

    @backend.setter
    def backend(self, backend: Backend | str) -> None:
        if self._users:
            raise RuntimeError(f"queue {self.name!r} is open: change its backend before it is entered")
        self._backend = _opened(backend)
        self._results = Results(self._backend, self.name)

    def copy_on(self, backend: Backend) -> Queue:
        """A queue with these tasks over another store, for a worker; not found by name.  Tasks still enqueue here."""
        other = copy(self)
        other._users = 0
        other.backend = backend
        return other

    # --- tasks ---

    @overload
    def task(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R, Coroutine[Any, Any, R]]: ...
    @overload
    def task(self, fn: Callable[P, R], /) -> Task[P, R, R]: ...
    @overload
    def task(
        self, fn: None = None, /, *, name: str | None = None, sandbox: bool | None = None, **options: Unpack[Options]
    ) -> Decorator: ...
    def task(
        self, fn: Any = None, /, *, name: str | None = None, sandbox: bool | None = None, **options: Unpack[Options]
    ) -> Any:
        """Make a function a task of this queue: ``@queue.task`` or ``@queue.task(max_retries=5, timeout=30)``.

        Its name is ``fn.__name__`` unless *name* is given: workers find it by that.  A plain function runs in a
        thread.  ``sandbox=True`` runs it in a process of its own, killed on timeout or cancel.
        """
        if fn is None:
            return partial(self._register, name=name, sandbox=sandbox, options=options)
        return self._register(fn, name, sandbox, options)

    def _register(self, fn: Any, name: str | None, sandbox: bool | None, options: Options) -> Task[..., Any, Any]:
        check_function(fn)
        name = check_name("a task name", fn.__name__ if name is None else name)
        if name in self.tasks:
            raise DuplicateTask(self.name, name)
        sandbox = self.settings.sandbox_enabled if sandbox is None else sandbox
        if sandbox:
            Target.of(fn)
        task: Task[..., Any, Any] = Task(self, fn, name, sandbox, self._template(name, options))
        self.tasks[name] = task
        return task

    def _template(self, task: str, options: Options) -> Job:
        limits = self.settings
        plain = Job(id="", queue=self.name, task=task, max_retries=limits.max_retries, max_crashes=limits.max_crashes)
        return with_options(plain, options, limits.max_payload_bytes)

    # --- producing ---

    async def enqueue(
        self,
        name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> JobHandle[Any]:
        """Store a job for the task called *name*, for producers that do not have its code.

        Where this queue has the task, its options and its signature count.  Else the arguments must survive JSON, and
        options that are not given have this queue's defaults.  The retries, timeout and backoff that the task has
        elsewhere are not known here.
        """
        if isinstance(name, Task | Call):
            task = name.name if isinstance(name, Task) else name.job.task
            raise TypeError(f"Queue.enqueue takes a task's name. With its code at hand, call {task}.enqueue(...)")
        if isinstance(args, str | bytes):
            raise TypeError(f"args is a list of arguments, not {args!r:.200}: enqueue({name!r}, [{args!r:.50}])")
        if name in self.tasks:
            return await self.tasks[name].options(**options).enqueue(*args, **(kwargs or {}))
        template = self._template(check_name("a task name", name), options)
        data = payload.encode_untyped(args, kwargs or {}, self.settings.max_payload_bytes)
        return await self.submit(Call(self.draft(template, data), payload.UNTYPED))

    async def enqueue_many(self, calls: Iterable[Call[R]], /) -> list[JobHandle[R]]:
        """Store many bound calls, in a round trip for each 1,000 jobs or 4 MiB: ``[send.bind(to) for to in ...]``.

        Each such chunk is stored whole or not at all.  Once a job is stored, every error, even one in *calls* itself,
        becomes NotAllStored, with the handles of the stored jobs.  Before that it is raised as it is.  A taken id
        (IdTaken) keeps no other job of its chunk out.
        """
        handles: list[JobHandle[R]] = []
        try:
            for chunk in self.chunked(calls):
                stored, taken = await self._insert(chunk)
                handles += stored
                if taken is not None:
                    raise taken
        except Exception as error:
            if handles:
                raise NotAllStored(handles, error) from error
            raise
        return handles

    async def submit(self, call: Call[R]) -> JobHandle[R]:
        """Store one bound call."""
        handles, taken = await self._insert([call])
        if taken is not None:
            raise taken
        return handles[0]

    def draft(self, template: Job, data: bytes) -> Job:
        """A job that isn't stored yet."""
        return template.having({"id": template.id or _new_id(), "payload": data})

    async def _insert(self, calls: Sequence[Call[R]]) -> tuple[list[JobHandle[R]], IdTaken | None]:
        reply = await self.backend.insert([call.job for call in calls])
        for job, created in zip(reply.jobs, reply.created, strict=True):
            if created:
                event_emitter.tell(JobEnqueued, job, reply.now)
        return self.handles(calls, reply)

    def chunked(self, calls: Iterable[Call[R]]) -> Iterator[list[Call[R]]]:
        """Group bound calls of this queue into chunks, each as large as one round trip takes."""
        return _chunks(calls, self.name)

    def handles(self, calls: Sequence[Call[R]], reply: Inserted) -> tuple[list[JobHandle[R]], IdTaken | None]:
        """The handles of the jobs that the store has for these calls; an id that another task has gets none."""
        handles: list[JobHandle[R]] = []
        taken: IdTaken | None = None
        for call, job, created in zip(calls, reply.jobs, reply.created, strict=True):
            if not created and job.id == call.job.id and job.task != call.job.task:
                taken = IdTaken(self.name, job.id, job.task)
                continue
            # The job that has the unique key may be of another task: its result is not decoded as this task's.
            result = call.result if job.task == call.job.task else payload.UNTYPED
            handles.append(JobHandle(self, job.id, created=created, result=result))
        return handles, taken

    @asynccontextmanager
    async def within(self, connection: object) -> AsyncIterator[QueueInTransaction]:
        """Enqueue as a part of your own transaction: the jobs exist once it commits, and never without that.

        ::

            connection = await trioq.postgres.connect("postgresql://localhost/shop")
            async with connection.transaction(), queue.within(connection) as tx:
                await connection.execute("INSERT INTO orders (id) VALUES (%s)", [id])
                await tx.enqueue(send_receipt.bind(id))

        *connection* must be one of `trioq.postgres.connect`, to the database of this queue's `PostgresBackend`, and be
        in a transaction.  Any other backend raises Unsupported.  No event is emitted for these jobs.
        """
        await self.backend.insert_within(connection, ())  # a bad connection raises before anything is written
        tx = QueueInTransaction(self, connection)
        try:
            yield tx
        finally:
            tx.end()

    # --- jobs ---

    async def job(self, id: str) -> Job | None:
        """The record of this job as stored now."""
        [job] = (await self.backend.get(self.name, [id])).jobs
        return job

    async def jobs(self, state: State | str | None = None, task: str | None = None) -> AsyncIterator[Job]:
        """Every job of the queue, by age; or those in one state, or of one task.  Read in pages."""
        states = frozenset(State) if state is None else frozenset({State(state)})
        async for job in self._find(Filter(queue=self.name, states=states, task=task)):
            yield job

    async def dead_letters(self) -> AsyncIterator[Job]:
        """The jobs that ended in a state that needs attention: failed and expired."""
        async for job in self._find(Filter(queue=self.name, states=DEAD)):
            yield job

    async def _find(self, filter: Filter) -> AsyncIterator[Job]:
        cursor = None
        while True:
            page = await self.backend.find(filter, cursor)
            for job in page.jobs:
                yield job
            if page.cursor is None:
                return
            cursor = page.cursor

    async def cancel(self, id: str, reason: str = "") -> bool:
        """Cancel a job, also while it runs: the store knows at once, its worker within milliseconds.

        False when the job has ended already, or isn't there.
        """
        job = await self._change(id, Cancel(cut(reason)))
        if job is None:
            return False
        for running in find_running(self.backend, self.name, id):
            if running.job.run == job.run:
                running.cancel_by_user()
        return True

    async def requeue(self, id: str) -> bool:
        """Make an ended job ready again, with all its attempts and a fresh TTL.  False where there is none."""
        return await self._change(id, Requeue()) is not None

    async def remove(self, id: str) -> bool:
        """Drop the record of a job.  False for active jobs (cancel them first) and unknown ones."""
        [removed] = await self.backend.remove(self.name, [id])
        return removed

    async def wait_ended(self, id: str) -> Job | None:
        """The job, once it is final; None when there is no such job.  Can be cancelled at any time."""
        return await self._results.wait(id)

    async def _change(self, id: str, command: Command) -> Job | None:
        """Read, step, compare and swap; repeat when another client wrote first.  None where no such step is allowed."""
        while True:
            found = await self.backend.get(self.name, [id])
            [job] = found.jobs
            if job is None:
                return None
            try:
                change = step(job, command, found.now)
            except IllegalStep:
                return None
            [verdict] = (await self.backend.settle([change])).verdicts
            if verdict is Verdict.STORED:
                changed = job.after(change)
                event_emitter.tell(change.event, changed, found.now)
                return changed
            if verdict is Verdict.KEY_TAKEN:
                return None

    # --- the queue as a whole ---

    async def pause(self) -> None:
        """Hand out no more jobs, to any worker.  Running jobs go on; so do delays and TTLs."""
        self._tell(QueuePaused, await self.backend.pause(self.name))

    async def resume(self) -> None:
        """Hand out jobs again."""
        self._tell(QueueResumed, await self.backend.resume(self.name))

    def _tell(self, kind: type[QueuePaused | QueueResumed], at: float) -> None:
        if event_emitter.wants(kind.name):
            event_emitter.emit(kind(queue=self.name, at=at))

    async def is_paused(self) -> bool:
        """Whether the queue is paused."""
        return await self.backend.is_queue_paused(self.name)

    async def counts(self) -> dict[str, int]:
        """How many jobs are in each state; every state is there."""
        return {str(state): count for state, count in (await self.backend.counts(self.name)).items()}


def find_queue(name: str, backend: Backend | None = None) -> Queue:
    """The newest living Queue of this name in this process, preferably on *backend*; UnknownQueue if there is none."""
    named = [queue for queue in _living if queue.name == name]
    if not named:
        raise UnknownQueue(name, sorted({queue.name for queue in _living}))
    return max(named, key=lambda queue: (backend is not None and queue.backend is backend, queue.number))


def _chunks(calls: Iterable[Call[R]], queue: str) -> Iterator[list[Call[R]]]:
    return batches(_checked(calls, queue), lambda call: _weight(call.job), most=CHUNK_JOBS, most_bytes=CHUNK_BYTES)


def _checked(calls: Iterable[Call[R]], queue: str) -> Iterator[Call[R]]:
    for call in calls:
        if not isinstance(call, Call):
            if isinstance(call, Coroutine):
                call.close()
            raise TypeError(f"this takes bound calls, such as send.bind(to), not {call!r:.200}")
        if call.job.queue != queue:
            raise ValueError(f"this call is bound to a task of queue {call.job.queue!r}, not of {queue!r}")
        yield call


def _weight(job: Job) -> int:
    return len(job.payload) + (len(payload.encode(job.metadata, "the metadata")) if job.metadata else 0)


def _opened(backend: Backend | str) -> Backend:
    if isinstance(backend, str):
        return open_backend(backend)
    if not isinstance(backend, Backend):
        raise TypeError(f"backend is a URL such as 'sqlite:jobs.db', or a Backend, not {backend!r:.200}")
    return backend


def _snapshot(settings: Settings) -> Settings:
    if not isinstance(settings, Settings):
        raise TypeError(f"settings is a trioq.Settings, not {settings!r:.200}")
    return attrs.evolve(settings)


def _new_id() -> str:
    """Unique, and rising with time, so that an index of ids grows at its end."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"
