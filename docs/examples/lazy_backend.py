"""A backend with a fault that no single check asks for."""

from collections.abc import Sequence

import trioq
from trioq.abc import Lease, Presence, Renewed


class LazyBackend(trioq.InMemoryBackend):
    """After some renewals it only says that it has renewed."""

    renewals = 0

    async def renew(self, worker: Presence, leases: Sequence[Lease]) -> Renewed:
        self.renewals += 1
        if self.renewals < 15:
            return await super().renew(worker, leases)
        return Renewed((await self.get("", [])).now, {})
