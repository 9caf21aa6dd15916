"""A store that fails on command: every verb goes on to one in memory, and may fail before or after its effect."""

from __future__ import annotations

from collections import defaultdict
from contextlib import asynccontextmanager

import attrs
import trio

from trioq import BackendUnavailable, InMemoryBackend
from trioq.testing._relay import FaultInjector

AWAY = "the store is away"

#: How large the batch of a call is, or the limit of a claim.
SIZES = {
    "claim": lambda queues, limit, *rest: limit,
    "settle": len,
    "renew": lambda worker, leases: len(leases),
}


class Faulty(FaultInjector):
    """Another view of *inner*, so two of them on one are like two processes on one store."""

    def __init__(self, inner=None):
        super().__init__(InMemoryBackend() if inner is None else inner)
        self.down = False  #: every verb raises BackendUnavailable, without effect
        self.deaf = False  #: no hint arrives
        self.calls = []  #: (Trio time, verb)
        self.sizes = defaultdict(list)  #: how large the batches, or the limits of claims, were
        self.behind = 0.0  #: by how much its clock has been set back
        self.slow = {}  #: verb -> seconds until its request has its effect
        self.late = {}  #: verb -> seconds by which its reply comes later than its effect
        self.refused = lambda change: False  #: a batch with such a change is refused
        self._plans = defaultdict(list)

    def fail(self, verb, *, times=1, after=False, error=None):
        """Let the next calls of *verb* fail: before they had an effect, or *after*."""
        self._plans[verb] += [(error or BackendUnavailable(AWAY), after)] * times

    def count(self, *verbs):
        """How often these were called."""
        return sum(verb in verbs for _, verb in self.calls)

    async def _start(self):
        self._raise_planned("open")
        await super()._start()

    def _raise_planned(self, verb):
        if self._plans[verb]:
            raise self._plans[verb].pop(0)[0]

    async def ask(self, verb, *args):
        self.calls.append((trio.current_time(), verb))
        if verb in SIZES:
            self.sizes[verb].append(SIZES[verb](*args))
        await trio.lowlevel.checkpoint()
        for error in [self.refused(change) for change in args[0]] if verb == "settle" else []:
            if error:
                raise error
        if self.down:
            raise BackendUnavailable(AWAY)
        error, after = self._plans[verb].pop(0) if self._plans[verb] else (None, False)
        if error is not None and not after:
            raise error
        if verb in self.slow:
            with trio.CancelScope(shield=True):  # a request that has left is answered
                await trio.sleep(self.slow[verb])
        reply = await super().ask(verb, *args)
        if error is not None:
            raise error
        if verb in self.late:
            with trio.CancelScope(shield=True):  # a request that has left is answered
                await trio.sleep(self.late[verb])
        if self.behind and hasattr(reply, "now"):
            reply = attrs.evolve(reply, now=reply.now - self.behind)
        return reply

    @asynccontextmanager
    async def watch(self, queues):
        self.calls.append((trio.current_time(), "watch"))
        self._raise_planned("watch")
        if self.down:
            raise BackendUnavailable(AWAY)
        async with self.inner.watch(queues) as hints:
            yield _Hints(self, hints)


class _Hints(trio.abc.ReceiveChannel):
    def __init__(self, store, hints):
        self._store = store
        self._hints = hints

    async def receive(self):
        while True:
            hint = await self._hints.receive()
            self._store._raise_planned("hint")
            if not self._store.deaf:
                return hint

    async def aclose(self):
        await self._hints.aclose()
