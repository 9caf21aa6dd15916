"""How long a write may take, so that a worker whose lease runs can still try again."""

from __future__ import annotations

from math import inf

import trio


class WriteDeadlines:
    """The lease of each worker that claims or renews here, for as long as it lasts without another renewal."""

    def __init__(self) -> None:
        #: Of each worker: its lease, and until when, by the clock of this Trio run.
        self._until: dict[str, tuple[float, float]] = {}

    def note(self, worker: str, lease: float) -> None:
        """A worker claims or renews."""
        self._until[worker] = (lease, trio.current_time() + lease)

    def shortest(self) -> float:
        """Whose outcomes a settle brings isn't told: it hurries as the worker with the shortest lease needs it."""
        now = trio.current_time()
        self._until = {worker: (lease, until) for worker, (lease, until) in self._until.items() if until > now}
        return min((lease for lease, _ in self._until.values()), default=inf)
