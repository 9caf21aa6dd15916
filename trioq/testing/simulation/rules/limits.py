"""What is limited: slots, rates, lives, attempts, and the time until which a job may start."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from ..history import History, SimulatedHistory, Stored
from ..network import SLOW
from .lives import Life, lives
from .reading import ROUNDING, Handler, end_of, handlers, is_last_life, runs, when


def no_worker_runs_more_than_it_has_slots_for(history: History) -> Iterator[str]:
    """A worker never has more handlers under way than its ``concurrency``."""
    known = lives(history)
    for process, begun in _by_process(history).items():
        under_way: list[Handler] = []
        for handler in begun:
            under_way = [each for each in under_way if handler.first < each.last] + [handler]
            if process in known and len(under_way) > known[process].worker.concurrency:
                slots = f"handler {len(under_way)} in {known[process].worker.concurrency} slots"
                yield f"{when(history, handler.began.at)} {process} begins {handler.key[0]}: {slots}"


def no_window_has_more_starts_than_the_rate(history: History) -> Iterator[str]:
    """No window of ``rate_interval`` seconds, wherever it begins, has more than ``rate_limit`` starts."""
    known = lives(history)
    for process, begun in _by_process(history).items():
        spec = known[process].worker if process in known else None
        if spec is None or spec.rate_limit is None:
            continue
        for first, last in zip(begun, begun[spec.rate_limit :], strict=False):
            took = last.began.at - first.began.at
            if took < spec.rate_interval - max(ROUNDING, history.slack):
                starts = f"{spec.rate_limit + 1} in {took:.3f} s, and {spec.rate_limit} in {spec.rate_interval:g} s"
                yield f"{when(history, last.began.at)} {process} starts {last.key[0]}: {starts} are allowed"


def a_job_on_its_last_life_runs_alone(history: History) -> Iterator[str]:
    """While a worker runs a job that one more crash would end, it runs nothing else, so that no other is taken down."""
    for process, begun in _by_process(history).items():
        under_way: list[Handler] = []
        for handler in begun:
            under_way = [each for each in under_way if handler.first < each.last]
            for other in under_way:
                if is_last_life(other.began.job) or is_last_life(handler.began.job):
                    yield f"{when(history, handler.began.at)} {process} begins {handler.key[0]} beside {other.key[0]}"
            under_way.append(handler)


def no_job_has_more_attempts_than_it_may(history: History) -> Iterator[str]:
    """Between two requeues a job fails in ``max_retries + 1`` runs at most, and crashes ``max_crashes`` times."""
    failures: defaultdict[str, int] = defaultdict(int)
    crashes: defaultdict[str, int] = defaultdict(int)
    for entry in history.all(Stored):
        job, kind = entry.job, entry.change.event.name
        if kind == "job:requeued":
            failures[job.id] = crashes[job.id] = 0
        if kind in ("job:retrying", "job:failed", "job:stalled"):
            counted = crashes if job.crashes > entry.before.crashes else failures
            counted[job.id] += 1
            if failures[job.id] > job.max_retries + 1 or crashes[job.id] > job.max_crashes:
                deaths = f"{failures[job.id]} failures and {crashes[job.id]} crashes"
                yield f"{when(history, entry.at)} {job.id} has {deaths} since it was requeued"
    if not isinstance(history, SimulatedHistory):
        yield from _more_than_counted(history)


def _more_than_counted(history: History) -> Iterator[str]:
    """Compare what began and raised with the counters of the records at the end; real experiments requeue nothing."""
    began = Counter(handler.key[0] for handler in handlers(history))
    raised = Counter(handler.key[0] for handler in handlers(history) if handler.how == "raised")
    for job in history.records.values():
        if raised[job.id] > job.max_retries + 1 + job.crashes or began[job.id] > job.run:
            ran = f"began {began[job.id]} times and raised {raised[job.id]} times, in {job.run} claims"
            yield f"{when(history, end_of(history))} {job.id} {ran}, with {job.crashes} crashes"


def nothing_begins_after_its_ttl(history: History) -> Iterator[str]:
    """No handler begins at or after its job's ``expires_at``, however long a reply took, or its process stood still.

    The exception: a worker learns the time from its first replies, and can't know how long these were on their way.
    """
    found, known = runs(history), lives(history)
    for handler in handlers(history):
        run, life, expires_at = found.get(handler.key), known.get(handler.began.by), handler.began.job.expires_at
        if run is None or life is None or expires_at is None:
            continue
        begins = handler.began.at
        late = 0.0 if _knew_the_time(life, run.claimed.at) else _answer_took(life, run.claimed.at)
        if run.claimed.at >= expires_at or begins >= expires_at + late + ROUNDING:
            expired = f"which expired at {when(history, expires_at).strip()}"
            yield f"{when(history, begins)} {life.process} begins {handler.key[0]}, {expired}"


def _knew_the_time(life: Life, at: float) -> bool:
    """Whether it had a quick answer before that time: it asks as it starts, and at each renewal."""
    period, until = 0.0, life.begins
    for each in sorted(life.in_trouble(life.begins, at), key=lambda each: each.begins):
        if each.begins > until + period + SLOW:
            return True
        period, until = life.worker.lease / 4, max(until, each.ends)
    return at > until + period + SLOW


def _answer_took(life: Life, at: float) -> float:
    """Seconds, at most, for which the answer to a claim was on its way."""
    return max([SLOW, *(each.ends - at for each in life.in_trouble(at, at) if each.verb == "claim")])


def only_what_is_too_late_expires(history: History) -> Iterator[str]:
    """A job expires at or after its ``expires_at``, not before."""
    for entry in history.all(Stored):
        expires_at, at = entry.before.expires_at, entry.at
        if entry.job.state != "expired":
            continue
        if expires_at is None or min(at, entry.job.finished_at or 0.0) < expires_at - ROUNDING:
            until = "has no TTL" if expires_at is None else f"may start until {when(history, expires_at).strip()}"
            yield f"{when(history, at)} {entry.by} lets {entry.job.id} expire, which {until}"


def _by_process(history: History) -> dict[str, list[Handler]]:
    found: defaultdict[str, list[Handler]] = defaultdict(list)
    for handler in handlers(history):
        found[handler.began.by].append(handler)
    return found
