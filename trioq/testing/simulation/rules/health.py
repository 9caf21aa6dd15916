"""What a history of real processes says of their health: when one of them could be taken for dead by the others."""

from __future__ import annotations

from collections import defaultdict
from math import inf

from ...._core.events import BackendLost, BackendRecovered
from ..history import STORE, Died, Froze, Healed, History, Started, Struck, Thawed, Told


class Health:
    """The troubles of each process: from the begin of a fault until the leases of that time are settled."""

    def __init__(self, history: History) -> None:
        self._aftermath = 2 * max((entry.worker.lease for entry in history.all(Started)), default=0.0)
        self._times: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._open: dict[tuple[str, str], float] = {}
        for entry in history.entries:
            match entry:
                case Struck(at=at, by=by, fault=str(fault)):
                    self._open.setdefault((by, fault), at)
                case Froze(at=at, by=by):
                    self._open.setdefault((by, "frozen"), at)
                case Died(at=at, by=by):
                    self._open.setdefault((by, "gone"), at)
                case Told(at=at, by=by, event=BackendLost()):  # it tells of an outage when it knows of it
                    self._open.setdefault((by, "lost"), at - self._aftermath)
                case Healed(at=at, by=by, fault=fault):
                    self._close(by, fault, at)
                case Thawed(at=at, by=by):
                    self._close(by, "frozen", at)
                case Told(at=at, by=by, event=BackendRecovered()):
                    self._close(by, "lost", at)
        for (by, _), at in self._open.items():
            self._times[by].append((at, inf))

    def _close(self, by: str, fault: str, at: float) -> None:
        self._times[by].append((self._open.pop((by, fault), -inf), at + self._aftermath))

    @property
    def any_trouble(self) -> bool:
        """Whether there was any at all."""
        return bool(self._times)

    def in_trouble(self, process: str, at: float) -> bool:
        """Whether the process, or the store, was in trouble at that time."""
        return any(begins <= at <= ends for by in (process, STORE) for begins, ends in self._times.get(by, ()))
