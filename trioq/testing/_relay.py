"""Backends whose verbs all go through one method, which a class between a program and its store overrides."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import trio

from .._core.job import Job, State
from .._core.lifecycle import Change
from ..backends._base import (
    Backend,
    Claimed,
    Filter,
    Found,
    Hint,
    Inserted,
    Lease,
    Overdue,
    Page,
    Presence,
    Renewed,
    Retention,
    Settled,
)

P = ParamSpec("P")
T = TypeVar("T")


class Relay(Backend):
    """Passes every verb to `ask`, which a subclass writes; it also writes ``watch``, which is no such verb."""

    @abstractmethod
    async def ask(self, verb: str, *args: Any) -> Any:
        """Do what the verb, such as ``"claim"``, does."""

    async def call(self, verb: Callable[Concatenate[Backend, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `ask`, with the types of the verb."""
        self.require_open()
        assert not kwargs, "all arguments are passed by position"
        answer: T = await self.ask(verb.__name__, *args)
        return answer

    async def insert(self, jobs: Sequence[Job]) -> Inserted:
        return await self.call(Backend.insert, jobs)

    async def claim(self, queues: Sequence[str], limit: int, worker: str, lease: float, idle: bool) -> Claimed:
        return await self.call(Backend.claim, queues, limit, worker, lease, idle)

    async def settle(self, changes: Sequence[Change]) -> Settled:
        return await self.call(Backend.settle, changes)

    async def renew(self, worker: Presence, leases: Sequence[Lease]) -> Renewed:
        return await self.call(Backend.renew, worker, leases)

    async def overdue(self, limit: int) -> Overdue:
        return await self.call(Backend.overdue, limit)

    async def get(self, queue: str, ids: Sequence[str]) -> Found:
        return await self.call(Backend.get, queue, ids)

    async def find(self, filter: Filter, cursor: int | None = None, limit: int = 100) -> Page:
        return await self.call(Backend.find, filter, cursor, limit)

    async def counts(self, queue: str) -> dict[State, int]:
        return await self.call(Backend.counts, queue)

    async def queues(self) -> list[str]:
        return await self.call(Backend.queues)

    async def pause(self, queue: str) -> float:
        return await self.call(Backend.pause, queue)

    async def resume(self, queue: str) -> float:
        return await self.call(Backend.resume, queue)

    async def is_queue_paused(self, queue: str) -> bool:
        return await self.call(Backend.is_queue_paused, queue)

    async def remove(self, queue: str, ids: Sequence[str]) -> list[bool]:
        return await self.call(Backend.remove, queue, ids)

    async def prune(self, queues: Sequence[str], limits: Retention, batch: int = 1_000) -> int:
        return await self.call(Backend.prune, queues, limits, batch)

    async def workers(self) -> list[Presence]:
        return await self.call(Backend.workers)


class FaultInjector(Relay):
    """A backend around another one, *inner*: a subclass lets calls go wrong in its `ask`.

    If that raises at once, the request never leaves.  If it raises after ``await super().ask(verb, *args)``, the
    request has had its effect, and its answer is lost.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.patience = inner.patience

    async def _start(self) -> None:
        await self.inner.__aenter__()

    async def _stop(self) -> None:
        await self.inner.__aexit__(None, None, None)

    async def ask(self, verb: str, *args: Any) -> Any:
        """Ask the inner backend."""
        return await getattr(self.inner, verb)(*args)

    def watch(self, queues: Sequence[str]) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Hint]]:
        """The hints of the inner backend."""
        return self.inner.watch(queues)


#: The verbs that change what is stored.  Once such a request has left, its caller waits for the answer.
WRITES: Final = frozenset({"insert", "claim", "settle", "renew", "pause", "resume", "remove", "prune"})
