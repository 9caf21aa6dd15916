"""RedisBackend: the verbs as a Trio program calls them.  What they do on the server is in ``scripts/``."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Any, Final

import trio

from ..._core.errors import BackendUnavailable, SchemaTooNew
from ..._core.job import Job, State
from ..._core.lifecycle import Change
from .._base import (
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
from .._group_commit import GroupCommit, part_of_inserted, part_of_settled, size_of_change, size_of_job
from .._hints import ALL_HINTS, HintChannels
from .._write_deadlines import WriteDeadlines
from . import housekeeping, reads, writes
from .address import Address
from .keys import Keys
from .listener import Listener
from .request_runner import RequestRunner
from .rows import integer, seconds
from .scripts import SCRIPTS
from .writes import Ask

if TYPE_CHECKING:
    from .client import Link, OnMessage

_log: Final = logging.getLogger("trioq.redis")

#: The layout that this trioq reads and writes.
LAYOUT: Final = 1

#: How often a cluster may redirect us.
_REDIRECTIONS: Final = 3

QueueHints = Mapping[str, Hint]


class RedisBackend(Backend):
    """Jobs in Redis (6.2 or later) or Valkey, shared by any number of processes on any number of machines.

    ``RedisBackend("redis://:password@host:6379/0")``; ``rediss://`` is over TLS, ``unix:///path`` over a socket.  All
    keys begin with *prefix*: stores with different ones don't see each other.  What a verb answered survives what the
    server's persistence survives: see ``appendfsync``.  *clock* replaces the server's clock.

    A batch is one request, and a server does nothing else meanwhile: 10,000 jobs keep it for about half a second.  A
    batch that takes longer than a write may, 5 s, raises `BackendUnavailable` however often it is tried: split it.
    """

    def __init__(self, url: str, prefix: str = "trioq", clock: Callable[[], float] | None = None) -> None:
        from .client import Link  # needs the extra

        self._address = Address.parse(url)
        self._open_link = Link.open
        self._keys = Keys(prefix)
        self._clock = clock
        self._me = secrets.token_hex(8).encode()
        self._warned = False
        #: The queues that each worker has claimed from, in this process: a claim whose answer was lost may be in any.
        self._claimed_from: dict[str, dict[str, None]] = {}
        self._begin()

    def _begin(self) -> None:
        """Make all that belongs to one time of being open."""
        self._write_deadlines = WriteDeadlines()
        self._home = self._address  #: the server that has our keys, when last asked
        self._requests = RequestRunner(self._connect, self._address.where)
        self._inserts = GroupCommit(self._requests, self._insert, part_of_inserted, size_of_job)
        self._settles = GroupCommit(self._requests, self._settle, part_of_settled, size_of_change)
        self._hint_channels = HintChannels()
        self._listener = Listener(self._connect_listener, self._hint_channels, self._me)

    def __repr__(self) -> str:
        return f"<RedisBackend {self._address.where}>"

    # -- lifetime --

    async def _start(self) -> None:
        self._begin()
        try:
            await self._requests.open()
            await self._requests.read(self._greet)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._requests.close()
            raise
        self._requests.nursery.start_soon(self._listener.run)

    async def _stop(self) -> None:
        await self._requests.close()

    async def _connect(self, nursery: trio.Nursery) -> Link:
        """Open a link to the server that has our keys, in our layout; it may be another server than the last time."""
        address = self._address
        for _ in range(_REDIRECTIONS):
            link = await self._open_link(address, nursery)
            try:
                await self._require_layout(link)
                self._home = address
                self._listener.start_over()
                return link
            except Exception as error:
                link.close()
                moved = link.elsewhere(error)
                if moved is None:
                    raise
                address = moved
            except BaseException:
                link.close()
                raise
        raise BackendUnavailable(f"{self._address.where}: the servers of the cluster send us to each other")

    async def _require_layout(self, link: Link) -> None:
        """Refuse a store that a newer trioq has written.  The request names a key, so that a cluster redirects it."""
        layout = int(await self._run(link, Ask(SCRIPTS["layout"], [""], [integer(LAYOUT)])))
        if layout > LAYOUT:
            raise SchemaTooNew(self._address.where, layout, LAYOUT)

    async def _connect_listener(self, nursery: trio.Nursery, on_message: OnMessage) -> Link:
        return await self._open_link(self._home, nursery, on_message)

    async def _greet(self, link: Link) -> None:
        """Warn of a server that throws jobs away when it is full."""
        lines: list[bytes] = (await link.ask(b"INFO", b"memory")).splitlines()
        told = dict(line.decode().split(":", 1) for line in lines if b":" in line)
        policy = told.get("maxmemory_policy", "noeviction")
        if policy.startswith("allkeys") and not self._warned:  # volatile-* takes keys that expire, and ours don't
            self._warned = True
            _log.warning(
                "%s has maxmemory-policy %s: when it is full it will THROW JOBS AWAY. "
                "Set it: CONFIG SET maxmemory-policy noeviction",
                self._address.where,
                policy,
            )

    # -- to the server and back --

    async def _run(self, link: Link, ask: Ask) -> Any:
        now = b"" if self._clock is None else seconds(self._clock())
        header = (now, self._keys.shared.encode(), self._me)
        return await link.run(ask.script, self._keys.bases(ask.queues), header, ask.args)

    async def _read(self, ask: Ask) -> Any:
        self.require_open()
        return await self._requests.read(lambda link: self._run(link, ask))

    async def _write(self, ask: Ask, lease: float = inf) -> Any:
        self.require_open()
        return await self._requests.write(lambda link: self._run(link, ask), min(self.patience, lease / 3))

    def _notify(self, queue_hints: QueueHints) -> None:
        for queue, hint in queue_hints.items():
            self._hint_channels.notify(hint, queue)

    async def _insert(self, link: Link, jobs: Sequence[Job]) -> Inserted:
        ask = writes.insert(jobs)
        answer, queue_hints = writes.inserted(ask, jobs, await self._run(link, ask))
        self._notify(queue_hints)
        return answer

    async def _settle(self, link: Link, changes: Sequence[Change]) -> Settled:
        ask = writes.settle(changes)
        answer, queue_hints = writes.settled(ask, await self._run(link, ask))
        self._notify(queue_hints)
        return answer

    # -- verbs --

    async def insert(self, jobs: Sequence[Job]) -> Inserted:
        self.require_open()
        return await self._inserts.write(jobs, self.patience)

    async def claim(self, queues: Sequence[str], limit: int, worker: str, lease: float, idle: bool) -> Claimed:
        self._write_deadlines.note(worker, lease)
        self._claimed_from.setdefault(worker, {}).update(dict.fromkeys(queues))
        ask = writes.claim(queues, limit, worker, lease, idle)
        return writes.claimed(ask, worker, lease, await self._write(ask, lease))

    async def settle(self, changes: Sequence[Change]) -> Settled:
        self.require_open()
        return await self._settles.write(changes, min(self.patience, self._write_deadlines.shortest() / 3))

    async def renew(self, worker: Presence, leases: Sequence[Lease]) -> Renewed:
        self._write_deadlines.note(worker.worker, worker.lease)
        ask = writes.renew(worker, leases, self._claimed_from.get(worker.worker, ()))
        answer = writes.renewed(ask, leases, await self._write(ask, worker.lease))
        if worker.leaving and not leases and not answer.unlisted:
            self._claimed_from.pop(worker.worker, None)
        return answer

    async def overdue(self, limit: int) -> Overdue:
        return reads.found_overdue(await self._read(reads.overdue(limit)))

    async def get(self, queue: str, ids: Sequence[str]) -> Found:
        ask = reads.get(queue, ids)
        return reads.got(ask, await self._read(ask))

    async def have_ended(self, queue: str, ids: Sequence[str]) -> list[bool]:
        return [not live for live in await self._read(reads.live(queue, ids))]

    async def find(self, filter: Filter, cursor: int | None = None, limit: int = 100) -> Page:
        ask = reads.find(filter, cursor, limit)
        return reads.page(ask, await self._read(ask))

    async def counts(self, queue: str) -> dict[State, int]:
        return reads.counts(await self._read(reads.look(queue)))

    async def queues(self) -> list[str]:
        return reads.queue_names(await self._read(reads.queues()))

    async def pause(self, queue: str) -> float:
        return await self._pause(housekeeping.pause(queue, paused=True))

    async def resume(self, queue: str) -> float:
        return await self._pause(housekeeping.pause(queue, paused=False))

    async def _pause(self, ask: Ask) -> float:
        now, queue_hints = housekeeping.has_paused(ask, await self._write(ask))
        self._notify(queue_hints)
        return now

    async def is_queue_paused(self, queue: str) -> bool:
        return reads.is_paused(await self._read(reads.look(queue)))

    def watch(self, queues: Sequence[str]) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Hint]]:
        return self.watch_only(ALL_HINTS, queues)

    def watch_only(
        self, hints: Hint, queues: Sequence[str]
    ) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Hint]]:
        self.require_open()
        return self._watch(hints, queues)

    @asynccontextmanager
    async def _watch(self, hints: Hint, queues: Sequence[str]) -> AsyncIterator[trio.abc.ReceiveChannel[Hint]]:
        channels = self._keys.channels(hints, queues)
        # The channel first: it receives a hint of what another process writes while we begin to listen.
        async with self._hint_channels.watch(queues, hints) as hints_channel, self._listener.listening(channels):
            yield hints_channel

    async def remove(self, queue: str, ids: Sequence[str]) -> list[bool]:
        return [bool(dropped) for dropped in await self._write(housekeeping.remove(queue, ids))]

    async def prune(self, queues: Sequence[str], limits: Retention, batch: int = 1_000) -> int:
        return int(await self._write(housekeeping.prune(queues, limits, batch)))

    async def workers(self) -> list[Presence]:
        return reads.presences(await self._read(reads.workers()))

    async def migrate(self) -> None:
        """Open the store and leave it: opening migrates."""
        async with self:
            pass
