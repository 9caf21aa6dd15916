"""What a history says of processes: when they lived, and what kept them from their work."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from math import inf
from typing import Final

import attrs

from ...._core.events import WorkerDraining
from ....backends._base import PATIENCE
from ..history import Broke, Died, Froze, History, Hurt, Started, Stopped, Struck, Thawed, Told
from ..plan import EVERY_PROCESS, Hints, Leave, Partition, WorkerSpec
from .reading import SOON, end_of, process_of

#: Seconds after its last trouble from which on a worker works again: it waits at most two before the next try.
CALM: Final = 2.5


@attrs.frozen
class Trouble:
    """A process stood still, or waited for a call."""

    begins: float
    ends: float
    verb: str = ""  #: of the call; none where it stood still
    unknown: bool = False  #: whether it never learned the outcome of the call


@attrs.define
class Life:
    """One process that works, from its start to its end."""

    process: str
    worker: WorkerSpec
    begins: float
    draining: float = inf  #: when it was told to stop
    #: The end of the grace, counted from when it was told to stop, and from when it may have received that.
    #: No handler is cut short before the first, and none goes on after the second.
    cut_from: float = inf
    cut_by: float = inf
    ends: float = inf
    #: Until when its troubles are known: a call that was under way when it died, or when the world ended, was never
    #: written down.
    told_until: float = inf
    troubles: list[Trouble] = attrs.Factory(list)
    deaf: list[Trouble] = attrs.Factory(list)  #: when hints may not have reached it, or too late

    def in_trouble(self, begin: float, end: float) -> list[Trouble]:
        """What kept it from working as it should between the two."""
        return [trouble for trouble in self.troubles if trouble.begins <= end and begin <= trouble.ends]

    def _lived(self, begin: float, end: float) -> bool:
        return self.begins <= begin and end < min(self.ends, self.told_until)

    def well(self, begin: float, end: float) -> bool:
        """Whether it lived all that time, and nothing kept it from its work."""
        return self._lived(begin, end) and not self.in_trouble(begin, end)

    def calm(self, begin: float, end: float, *verbs: str) -> bool:
        """Whether it lived, moved, and had no trouble with these calls, nor a moment before."""
        troubles = self.in_trouble(max(self.begins, begin - CALM), end)
        return self._lived(begin, end) and not any(each.verb in ("", *verbs) for each in troubles)

    def sure(self, begin: float, end: float) -> bool:
        """Whether it lived all that time, and had no reason to doubt which other workers live."""
        doubts = [each for each in self.in_trouble(begin, end) if each.unknown or each.verb in ("", "renew", "overdue")]
        return self._lived(begin, end) and not doubts

    def hears_hints(self, begin: float, end: float) -> bool:
        """Whether hints came through to it, those of a moment before included."""
        return not any(each.begins <= end and begin - CALM <= each.ends for each in self.deaf)

    def awake_at(self, moment: float) -> float:
        """The moment, or when it went on, if it stood still then."""
        for each in sorted(self.troubles, key=lambda each: each.begins):
            if not each.verb and each.begins <= moment <= each.ends:
                moment = each.ends
        return moment

    def renews_by(self, moment: float) -> float:
        """When it has renewed since, at the latest: a quarter of a lease after what kept it from that."""
        quarter = self.worker.lease / 4 + SOON
        for each in sorted(self.troubles, key=lambda each: each.begins):
            if each.verb in ("", "renew") and each.begins <= moment + quarter:
                moment = max(moment, each.ends)
        return moment + quarter

    def hear_stop(self, at: float, grace: float) -> None:
        """Note that it is told to stop; it learns that as soon as it can, unless it has not begun to work."""
        self.cut_from = min(self.cut_from, at + grace)
        if at > self.awake_at(self.begins):
            self.cut_by = min(self.cut_by, self.awake_at(at) + grace)

    def hears_by(self, lost: float) -> float:
        """When it can know of the loss: the first moment after it that has a lease without trouble behind it."""
        moment = lost
        for each in sorted(self.troubles, key=lambda each: each.begins):
            if each.begins <= moment + self.worker.lease:
                moment = max(moment, each.ends)
        return moment

    def heard(self, *verbs: str) -> bool:
        """Whether it learned the outcome of every call of these verbs."""
        return not any(trouble.unknown and trouble.verb in verbs for trouble in self.troubles)


@lru_cache(maxsize=1)
def lives(history: History) -> dict[str, Life]:
    """Every process that worked."""
    found = {entry.by: Life(entry.by, entry.worker, entry.at) for entry in history.all(Started)}
    troubles, end = _troubles(history), end_of(history)
    for life in found.values():
        life.troubles = troubles[life.process]
        silent = [each.begins for each in life.troubles if each.ends == inf]
        life.told_until = min([end, *silent]) - _patience(life)
    for entry in history.entries:
        match entry:
            case Died(by=by) | Stopped(by=by) | Broke(by=by) if by in found:
                life = found[by]
                life.ends = min(life.ends, entry.at)
                life.told_until = (
                    inf if isinstance(entry, Stopped) else min(life.told_until, entry.at - _patience(life))
                )
            case Struck(by=by, fault=Leave(grace=grace)) if by in found:
                found[by].hear_stop(entry.at, grace)
            case Struck(fault=Partition(process=name) | Hints(process=name) as fault):
                for life in found.values():
                    if name in (life.worker.name, EVERY_PROCESS):
                        life.deaf.append(Trouble(entry.at, entry.at + fault.seconds))
            case Told(event=WorkerDraining(worker=worker, grace=grace)) if process_of(worker) in found:
                life = found[process_of(worker)]
                life.draining = min(life.draining, entry.at)
                life.hear_stop(entry.at, grace)
    return found


def _patience(life: Life) -> float:
    """Seconds that it waits for a call, at most."""
    return min(PATIENCE, life.worker.lease / 3)


def _troubles(history: History) -> defaultdict[str, list[Trouble]]:
    found: defaultdict[str, list[Trouble]] = defaultdict(list)
    frozen: dict[str, float] = {}
    for entry in history.entries:
        match entry:
            case Froze(by=by):
                frozen.setdefault(by, entry.at)
            case Thawed(by=by) if by in frozen:
                found[by].append(Trouble(frozen.pop(by), entry.at))
            case Hurt(by=by, verb=verb, seconds=seconds, unknown=unknown):
                found[by].append(Trouble(entry.at - seconds, entry.at, verb, unknown))
    for by, since in frozen.items():
        found[by].append(Trouble(since, inf))
    return found
