"""What is measured in a history: how long until jobs go on elsewhere, until handlers stop, until work flows again."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

from .history import Acknowledged, AskedToStop, Began, Ended, Gone, Healed, History, Struck, Told
from .result import Samples

#: The share of the throughput of before at which an outage counts as over, and how long that is looked at.
_RECOVERED = 0.9
_WINDOW = 1.0


def restart_times(history: History) -> Samples:
    """Seconds from the kill of a worker to the begin of its jobs elsewhere, for each job that ran in it."""
    killed = {entry.who: entry.at for entry in history.all(Struck) if entry.how == "killed"}
    runs = sorted(history.runs(), key=lambda run: (run.job, run.run))
    return Samples.of(
        later.began - killed[run.who]
        for run, later in pairwise(runs)
        if run.job == later.job and run.how is None and run.began <= killed.get(run.who, 0.0)
    )


def stop_times(history: History) -> Samples:
    """Seconds from the end of a freeze to that of the handlers whose jobs are somebody else's now."""
    thawed = {entry.who: entry.at for entry in history.all(Healed)}
    newest = {run.job: run.run for run in sorted(history.runs(), key=lambda run: run.run)}
    ends = [end for end in history.all(Ended) if end.run < newest[end.job] and end.at > thawed.get(end.who, end.at)]
    return Samples.of(end.at - thawed[end.who] for end in ends)


def exit_times(history: History) -> Samples:
    """Seconds from SIGTERM to the end of the process."""
    asked = {entry.who: entry.at for entry in reversed(history.all(AskedToStop))}
    return Samples.of(gone.at - asked[gone.who] for gone in history.all(Gone) if gone.who in asked)


def pick_up_times(history: History, since: float, until: float) -> Samples:
    """Seconds from the answer of an enqueue to the first begin of its handler, for jobs of this time."""
    began = {entry.job: entry.at for entry in reversed(history.all(Began))}
    asked = [entry for entry in history.all(Acknowledged) if since <= entry.at < until and entry.job in began]
    return Samples.of(max(0.0, began[entry.job] - entry.at) for entry in asked)


def recovery_times(history: History, rate: float) -> Samples:
    """Seconds from the end of each fault of the store until work flows again, nearly as fast as it comes."""
    completed = [told.at for told in history.all(Told) if told.event == "job:completed"]
    needed = int(_RECOVERED * rate * _WINDOW)
    times = []
    for healed in history.all(Healed):
        if healed.who == "store":
            after = completed[bisect_left(completed, healed.at) :]
            flowing = [first for first, last in zip(after, after[needed:], strict=False) if last - first <= _WINDOW]
            times.append(flowing[0] - healed.at if flowing else float("inf"))
    return Samples.of(times)
