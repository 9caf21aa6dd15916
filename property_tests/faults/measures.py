"""What is measured in a history: how long until jobs go on elsewhere, until handlers stop, until work flows again."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

from trioq.testing.simulation.history import STORE, Began, Died, Healed, History, Struck, Thawed
from trioq.testing.simulation.rules.reading import handlers, told_of_jobs

from .history import AskedToStop, Gone, acknowledged
from .result import Samples

#: The share of the throughput of before at which an outage counts as over, and how long that is looked at.
_RECOVERED = 0.9
_WINDOW = 1.0


def restart_times(history: History) -> Samples:
    """Seconds from the kill of a worker to the begin of its jobs elsewhere, for each job that ran in it."""
    killed = {entry.by: entry.at for entry in history.all(Struck) if entry.fault == "killed"}
    return Samples.of(
        later.began.at - killed[run.began.by]
        for run, later in pairwise(sorted(handlers(history), key=lambda run: run.key))
        if run.key[0] == later.key[0] and run.how == "died" and run.began.at <= killed.get(run.began.by, 0.0)
    )


def stop_times(history: History) -> Samples:
    """Seconds from the end of a freeze to that of the handlers whose jobs another worker has by now."""
    thawed = {entry.by: entry.at for entry in history.all(Thawed)}
    ended = [run for run in handlers(history) if run.until > thawed.get(run.began.by, run.until)]
    newest = dict(sorted(run.key for run in handlers(history)))
    return Samples.of(run.until - thawed[run.began.by] for run in ended if run.key[1] < newest[run.key[0]])


def exit_times(history: History) -> Samples:
    """Seconds from SIGTERM to the end of the process."""
    asked = {entry.by: entry.at for entry in reversed(history.all(AskedToStop))}
    ends = [*history.all(Gone), *history.all(Died)]
    return Samples.of(end.at - asked[end.by] for end in ends if end.by in asked)


def pick_up_times(history: History, since: float, until: float) -> Samples:
    """Seconds from the answer of an enqueue to the first begin of its handler, for jobs of this time."""
    began = {entry.job.id: entry.at for entry in reversed(history.all(Began))}
    answered = acknowledged(history.entries)
    return Samples.of(max(0.0, began[id] - at) for id, at in answered.items() if since <= at < until and id in began)


def recovery_times(history: History, rate: float) -> Samples:
    """Seconds from the end of each fault of the store until work flows again, nearly as fast as it comes."""
    completed = [told.at for told, event in told_of_jobs(history) if event.name == "job:completed"]
    needed = int(_RECOVERED * rate * _WINDOW)
    times = []
    for healed in history.all(Healed):
        if healed.by == STORE:
            after = completed[bisect_left(completed, healed.at) :]
            flowing = [first for first, last in zip(after, after[needed:], strict=False) if last - first <= _WINDOW]
            times.append(flowing[0] - healed.at if flowing else float("inf"))
    return Samples.of(times)
