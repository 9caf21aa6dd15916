"""How long a write may take, so that its worker can try again before the lease ends."""

from __future__ import annotations

from math import inf

import trio


class WriteDeadlines:
    """Remembers the lease of each worker that claims or renews here, until it would end without another renewal."""

    def __init__(self) -> None:
        #: For each worker: its lease, and when it ends, by the clock of this Trio run.
        self._until: dict[str, tuple[float, float]] = {}

    def note(self, worker: str, lease: float) -> None:
        """Note that a worker claims or renews."""
        self._until[worker] = (lease, trio.current_time() + lease)

    def shortest(self) -> float:
        """Return the shortest lease: a settle doesn't say which worker it is for, so it must be in time for any."""
        now = trio.current_time()
        self._until = {worker: (lease, until) for worker, (lease, until) in self._until.items() if until > now}
        return min((lease for lease, _ in self._until.values()), default=inf)
