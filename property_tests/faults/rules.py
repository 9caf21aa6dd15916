"""The rules that every history is judged by: a function each, which answers what it finds wrong.  Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import inf
from typing import Final

from trioq.lifecycle import TABLE, State, broken_rules

from .history import (
    Acknowledged,
    Asked,
    Began,
    Down,
    Ended,
    Gone,
    Healed,
    History,
    OutOfReach,
    Run,
    Struck,
    Told,
    Up,
)

Rule = Callable[[History], Iterator[str]]

#: Seconds by which two notes of different handlers may be nearer to each other than what they tell of.
_SLACK: Final = 0.02

# --- jobs ---------------------------------------------------------------------------------------


def no_acknowledged_job_is_lost(history: History) -> Iterator[str]:
    """What ``enqueue`` has returned for is in the store."""
    for job in history.by_job(Acknowledged):
        if job not in history.records:
            yield f"{job} was acknowledged, and is not there"


def every_job_ends(history: History) -> Iterator[str]:
    """When nothing is broken any more, every job ends: nobody stalls in silence."""
    for job in history.records.values():
        if not job.state.final:
            yield f"{job.id} is still {job.state}"


def nothing_runs_that_nobody_asked_for(history: History) -> Iterator[str]:
    """What is in the store, and what runs, somebody has begun to enqueue."""
    asked = history.by_job(Asked)
    for job in history.by_job(Began).keys() | history.records.keys():
        if job not in asked:
            yield f"nobody asked for {job}"


def an_enqueue_makes_one_job(history: History) -> Iterator[str]:
    """However often it is repeated, an enqueue creates its job once."""
    for job, answers in history.by_job(Acknowledged).items():
        if sum(answer.created for answer in answers) > 1:
            yield f"{job} was created twice"


def no_record_breaks_an_invariant(history: History) -> Iterator[str]:
    """Every record is one that the state machine allows."""
    for job in history.records.values():
        for broken in broken_rules(job):
            yield f"{job.id}: {broken}"


# --- what became of them ------------------------------------------------------------------------

#: Events that tell of a run's end, each of a change that left ``active``.
_ENDS: Final = {f"job:{end}" for end in "completed retrying snoozed failed released stalled".split()}

#: Events whose record is as the teller knew it, which need not be as it is stored.
_BELIEFS: Final = {"job:lost", "job:cancelled", "job:progress"}

#: Events by which a worker tells what became of a handler that has ended, or that it is too late.
_OUTCOMES: Final = (_ENDS | _BELIEFS) - {"job:stalled", "job:released", "job:progress"}

_MOVES: Final = {(source, target) for rule in TABLE.values() for source in rule.sources for target in rule.targets}


def each_run_ends_once(history: History) -> Iterator[str]:
    """One change ends a run.  A second one was a stale write that the store has taken."""
    for job, told in history.by_job(Told).items():
        ends: dict[int, set[tuple[str, int]]] = defaultdict(set)
        for each in told:
            if each.event in _ENDS:
                ends[each.run].add((each.event, each.version))
        for run, found in ends.items():
            if len(found) > 1:
                yield f"run {run} of {job} ended as {sorted(found)}"


def each_version_is_written_once(history: History) -> Iterator[str]:
    """Who writes over a version that has been written over already is refused."""
    for job, told in _stored(history).items():
        states: dict[int, set[str]] = defaultdict(set)
        for each in told:
            states[each.version].add(f"{each.event} in run {each.run}")
        for version, found in states.items():
            if len(found) > 1:
                yield f"version {version} of {job} was written as {sorted(found)}"


def every_move_is_legal(history: History) -> Iterator[str]:
    """From one version to the next, a job moves as the state machine's table says, and nothing follows its end."""
    for job, told in _stored(history).items():
        states = {each.version: State(each.state) for each in told}
        record = history.records.get(job)
        if record is not None:
            if record.version < max(states) or states.get(record.version, record.state) != record.state:
                yield f"{job} is {record.state} in version {record.version}, but was told of as {states}"
            states[record.version] = record.state
        for (older, before), (newer, after) in pairwise(sorted(states.items())):
            if newer == older + 1 and (before, after) not in _MOVES:
                yield f"{job} moved from {before} to {after}"
            if before.final and not any(each.event == "job:requeued" for each in told):
                yield f"{job} was {before}, and then {after}"


def no_outcome_is_dropped(history: History) -> Iterator[str]:
    """What a handler came to is stored, unless its worker died then, or says that it has lost the job."""
    ended = {(end.who, end.job, end.run): end.how for end in history.all(Ended)}
    settled = {(told.who, told.job, told.run) for told in history.all(Told) if told.event in _OUTCOMES}
    died = {gone.who for gone in history.all(Gone) if gone.code != 0}
    for told in history.all(Told):
        owner = told.owner if told.event == "job:stalled" else told.who
        how = ended.get((owner, told.job, told.run))
        dropped = how is not None and (owner, told.job, told.run) not in settled and owner not in died
        if dropped and (told.event == "job:stalled" or (told.event == "job:released" and how != "cancelled")):
            yield f"run {told.run} of {told.job} {how} in {owner}, and was {told.event.removeprefix('job:')}"


def a_completed_job_has_the_result_of_its_last_run(history: History) -> Iterator[str]:
    """A job is completed by its last run, which has returned, and the result is of that run."""
    returned = {(end.job, end.run) for end in history.all(Ended) if end.how == "returned"}
    for job in history.records.values():
        if job.state is State.COMPLETED:
            if (job.id, job.run) not in returned:
                yield f"{job.id} is completed, but run {job.run} never returned"
            if job.result != b"%d" % job.run and job.task != "echo":
                yield f"{job.id} has {job.result!r} as the result of run {job.run}"


def _stored(history: History) -> dict[str, list[Told]]:
    told: dict[str, list[Told]] = {}
    for entry in history.all(Told):
        if entry.event not in _BELIEFS:
            told.setdefault(entry.job, []).append(entry)
    return told


# --- runs ---------------------------------------------------------------------------------------


def no_run_begins_twice(history: History) -> Iterator[str]:
    """A claim is handed out once."""
    for (job, run), times in Counter((began.job, began.run) for began in history.all(Began)).items():
        if times > 1:
            yield f"run {run} of {job} began {times} times"


def a_job_runs_in_one_place_while_its_owner_is_healthy(history: History) -> Iterator[str]:
    """A run begins beside an earlier one of its job only where the earlier one's process was in trouble."""
    troubles = _Troubles(history)
    for job, runs in _by_job(history).items():
        for earlier, later in pairwise(sorted(runs, key=lambda run: run.run)):
            if later.began < earlier.until and not troubles.excuse(earlier.who, later.began):
                yield f"run {later.run} of {job} began beside run {earlier.run}, whose {earlier.who} was healthy"


def every_crash_has_a_cause(history: History) -> Iterator[str]:
    """No healthy worker is taken for dead, and a shutdown spends no crash."""
    troubles = _Troubles(history)
    for told in history.all(Told):
        if told.event == "job:stalled" and not troubles.excuse(told.owner, told.at):
            yield f"run {told.run} of {told.job} was taken from {told.owner}, which was healthy"
    if not troubles.any:
        for job in history.records.values():
            if job.crashes:
                yield f"{job.id} counts {job.crashes} crashes, and nothing had happened"


def every_failure_has_a_cause(history: History) -> Iterator[str]:
    """Only a handler that raised spends an attempt: no release, no loss and no shutdown does."""
    raised = Counter(end.job for end in history.all(Ended) if end.how == "raised")
    for job in history.records.values():
        if job.failures > raised[job.id]:
            yield f"{job.id} counts {job.failures} failures, and raised {raised[job.id]} times"


def no_job_runs_more_often_than_it_may(history: History) -> Iterator[str]:
    """Its failures and its crashes stay within its limits, and so do the runs that they count."""
    runs = _by_job(history)
    for job in history.records.values():
        if job.failures > job.max_retries + 1 or job.crashes > job.max_crashes:
            yield f"{job.id} has {job.failures} failures and {job.crashes} crashes"
        raised = sum(run.how == "raised" for run in runs.get(job.id, ()))
        if raised > job.max_retries + 1 + job.crashes:
            yield f"{job.id} raised {raised} times"
        if len(runs.get(job.id, ())) > job.run:
            yield f"{job.id} was run {len(runs[job.id])} times, and claimed {job.run} times"


class _Troubles:
    """When which process could be taken for dead by the others: during a fault, and until its leases are settled."""

    def __init__(self, history: History) -> None:
        aftermath = 2 * max((up.lease for up in history.all(Up)), default=0.0)
        self._times: dict[str, list[tuple[float, float]]] = defaultdict(list)
        begun: dict[tuple[str, str], float] = {}
        for entry in history.entries:
            match entry:
                case Struck(how=how):
                    begun.setdefault((entry.who, how), entry.at)
                case Healed(how=how):
                    self._times[entry.who].append((begun.pop((entry.who, how), -inf), entry.at + aftermath))
                case OutOfReach(event="backend:lost"):
                    begun.setdefault((entry.who, "lost"), entry.at - aftermath)  # it tells of it when it knows it
                case OutOfReach():
                    self._times[entry.who].append((begun.pop((entry.who, "lost"), -inf), entry.at + aftermath))
                case Gone(code=code) if code != 0:
                    begun.setdefault((entry.who, "gone"), entry.at)
        for (who, _), at in begun.items():
            self._times[who].append((at, inf))

    @property
    def any(self) -> bool:
        """Whether there was any trouble at all."""
        return bool(self._times)

    def excuse(self, who: str, at: float) -> bool:
        """Whether the process, or the store, was in trouble at that time."""
        return any(begin <= at <= end for name in (who, "store") for begin, end in self._times.get(name, ()))


def _by_job(history: History) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {}
    for run in history.runs():
        runs.setdefault(run.job, []).append(run)
    return runs


# --- workers ------------------------------------------------------------------------------------


def no_worker_runs_more_than_it_has_slots_for(history: History) -> Iterator[str]:
    """Never are more handlers under way in a worker than its ``concurrency``."""
    slots = {up.who: up.slots for up in history.all(Up)}
    running: Counter[str] = Counter()
    for entry in history.entries:
        if isinstance(entry, Began):
            running[entry.who] += 1
            if running[entry.who] > slots.get(entry.who, inf):
                yield f"{entry.who} ran {running[entry.who]} jobs in {slots[entry.who]} slots"
        elif isinstance(entry, Ended):
            running[entry.who] -= 1


def no_window_has_more_starts_than_the_rate(history: History) -> Iterator[str]:
    """In no window of the interval, wherever it begins, does a worker start more jobs than its rate limit."""
    starts: dict[str, list[float]] = {}
    for began in history.all(Began):
        starts.setdefault(began.who, []).append(began.at)
    for up in history.all(Up):
        if up.rate is not None:
            limit, interval = up.rate
            times = starts.get(up.who, [])
            for first, last in zip(times, times[limit:], strict=False):
                if last - first < interval - _SLACK:
                    yield f"{up.who} started {limit + 1} jobs within {last - first:.3f} s"


def who_ends_leaves_nothing_behind(history: History) -> Iterator[str]:
    """A worker that has stopped has no task, thread, open file or child process that it had not at its start."""
    for down in history.all(Down):
        if down.left:
            yield f"{down.who} left {', '.join(down.left)}"


def no_process_breaks(history: History) -> Iterator[str]:
    """A process ends in no error: with exit code 0, or killed by us."""
    killed = {entry.who for entry in history.all(Struck) if entry.how == "killed"}
    for gone in history.all(Gone):
        if gone.code != 0 and gone.who not in killed:
            yield f"{gone.who} ended with {gone.code}"


#: All of them.
RULES: Final[tuple[Rule, ...]] = (
    no_acknowledged_job_is_lost,
    every_job_ends,
    nothing_runs_that_nobody_asked_for,
    an_enqueue_makes_one_job,
    no_record_breaks_an_invariant,
    each_run_ends_once,
    each_version_is_written_once,
    every_move_is_legal,
    no_outcome_is_dropped,
    a_completed_job_has_the_result_of_its_last_run,
    no_run_begins_twice,
    a_job_runs_in_one_place_while_its_owner_is_healthy,
    every_crash_has_a_cause,
    every_failure_has_a_cause,
    no_job_runs_more_often_than_it_may,
    no_worker_runs_more_than_it_has_slots_for,
    no_window_has_more_starts_than_the_rate,
    who_ends_leaves_nothing_behind,
    no_process_breaks,
)


def violations(history: History, *, without: tuple[Rule, ...] = ()) -> list[str]:
    """What is wrong with it, by all rules but those that an experiment breaks on purpose."""
    return [f"{rule.__name__}: {wrong}" for rule in RULES if rule not in without for wrong in rule(history)]
