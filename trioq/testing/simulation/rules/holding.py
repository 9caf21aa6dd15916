"""Which processes may move a held job: its holder, a client that is asked to, and one that finds its lease run out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..history import Asked, History, SimulatedHistory, Stored
from ..network import SLOW
from ..plan import Verb
from .health import Health
from .lives import Life, lives
from .reading import ROUNDING, Run, end_of, handlers, is_reclaim, process_of, runs, told_of_jobs, when


def only_its_holder_settles_a_run(history: History) -> Iterator[str]:
    """How a run ended is written only by the process that holds it at that moment.

    Other processes may cancel it, or take it back once its lease ran out.
    """
    for entry in history.all(Stored):
        holder, kind = process_of(entry.before.worker), entry.change.event.name
        held = entry.before.state == "active" and kind != "job:cancelled" and not is_reclaim(entry)
        if held and entry.by != holder:
            what = f"writes {kind} of {entry.job.id}, run {entry.job.run}, which {holder} holds"
            yield f"{when(history, entry.at)} {entry.by} {what}"


def only_clients_that_were_asked_cancel_and_requeue(history: History) -> Iterator[str]:
    """A job is cancelled or requeued only by a client that was asked to, and no more often than it was asked."""
    asked: Counter[tuple[str, str, str]] = Counter()
    kinds = {Verb.CANCEL: "job:cancelled", Verb.REQUEUE: "job:requeued"}
    for entry in history.entries:
        match entry:
            case Asked(by=by, operation=operation) if operation.verb in kinds:
                asked.update((by, kinds[operation.verb], id) for id in operation.targets)
            case Stored(by=by, job=job, change=change) if change.event.name in kinds.values():
                asked[by, change.event.name, job.id] -= 1
                if asked[by, change.event.name, job.id] < 0:
                    yield f"{when(history, entry.at)} {by} writes {change.event.name} of {job.id}, without being asked"


def a_job_is_taken_back_only_once_its_lease_ran_out(history: History) -> Iterator[str]:
    """A job is taken from its worker only at or after the end of the lease that stands in the record then.

    No worker takes back a job whose handler it runs itself.
    """
    under_way = {handler.key: handler for handler in handlers(history)}
    for number, entry in enumerate(history.entries):
        if not isinstance(entry, Stored) or not is_reclaim(entry):
            continue
        job, lease = entry.before, entry.before.lease_until
        if lease is None or entry.at < lease - ROUNDING:
            what = f"takes {job.id} from {process_of(job.worker)} before its lease ran out"
            yield f"{when(history, entry.at)} {entry.by} {what}"
        handler = under_way.get((job.id, job.run))
        if handler is not None and handler.began.by == entry.by and handler.first < number < handler.last:
            yield f"{when(history, entry.at)} {entry.by} takes {job.id} from itself, and its handler goes on"


def a_healthy_worker_keeps_its_jobs(history: History) -> Iterator[str]:
    """No job is taken from a worker that lives, does not stand still, and reaches the store.

    A single lost renewal costs it no job either: there is time for another before the lease runs out.  A claim whose
    answer got lost is given back, if its worker reaches the store for half a lease.  A real process is well two leases
    after its last trouble.
    """
    if not isinstance(history, SimulatedHistory):
        yield from _taken_from_the_healthy(history)
    known, begun = lives(history), {handler.key for handler in handlers(history)}
    for key, run in runs(history).items():
        life = known.get(run.process)
        if run.over is None or not is_reclaim(run.over) or life is None:
            continue
        since = run.lease_until - life.worker.lease
        if key not in begun and not life.heard("claim"):  # it may not know that the job is its own
            kept = life.well(since + life.worker.lease * 0.4, run.over.at)
        else:
            alive = run.over.at < min(life.ends, life.told_until)
            free = run.over.at - since - _kept_from_renewing(life, run, since)
            kept = alive and free > life.worker.lease / 4 + SLOW
        if kept:
            what = f"{run.over.by} takes {key[0]}, run {key[1]}, from {life.process}, which was well"
            yield f"{when(history, run.over.at)} {what} since {when(history, since).strip()}"


def _taken_from_the_healthy(history: History) -> Iterator[str]:
    health = Health(history)
    for entry, event in told_of_jobs(history):
        holder = process_of(event.worker)
        if event.name == "job:stalled" and not health.in_trouble(holder, entry.at):
            what = f"{entry.by} takes {event.job.id}, run {event.run}, from {holder}, which was well"
            yield f"{when(history, entry.at)} {what}"
    for job in history.records.values():
        if job.crashes and not health.any_trouble:
            yield f"{when(history, end_of(history))} {job.id} counts {job.crashes} crashes, and nothing had happened"


def _kept_from_renewing(life: Life, run: Run, since: float) -> float:
    """Seconds in which no renewal of this job could be sent: it stood still, waited for an answer, or for the next try.

    In a quarter of a lease without any of these a renewal is sent.  No other request of the worker delays it, but a job
    is renewed only once its claim is answered.
    """
    assert run.over is not None
    end, pause = run.over.at, min(2.0, life.worker.lease / 4)
    kept, until = 0.0, since
    for each in sorted(life.in_trouble(since - pause, end), key=lambda each: each.begins):
        if each.verb in ("", "renew") or (each.verb == "claim" and each.begins <= run.claimed.at):
            ends = min(end, each.ends + (pause if each.verb and each.unknown else 0.0))
            kept += max(0.0, ends - max(until, each.begins))
            until = max(until, ends)
    return kept


def a_worker_that_was_cut_off_takes_no_other_for_dead(history: History) -> Iterator[str]:
    """A worker that has just begun, could not renew, or stood still, takes no job from another for one lease.

    What kept it from renewing may have kept the others from it, too; and it can't know what was before it began.
    """
    known = lives(history)
    for entry in history.all(Stored):
        life = known.get(entry.by)
        if not is_reclaim(entry) or life is None or entry.at > life.ends:  # when a dead worker decided it is unknown
            continue
        # It was decided just now; or before, where the write took long, or came through after its sender gave up.
        slow = [each.begins for each in life.troubles if each.verb == "settle" and each.begins <= entry.at]
        doubts = [_in_doubt(life, moment) for moment in (entry.at, *slow)]
        if all(doubts):
            what = f"{entry.by} takes {entry.job.id} from {process_of(entry.before.worker)}"
            yield f"{when(history, entry.at)} {what}, in trouble itself until {when(history, doubts[0]).strip()}"


def _in_doubt(life: Life, moment: float) -> float:
    """When the worker began, or the last trouble ended that may have kept others from renewing, too.

    0 where that is a lease ago.
    """
    lease = life.worker.lease
    ends = [life.begins]
    ends += (
        each.ends
        for each in life.troubles
        if (each.unknown if each.verb else each.ends - each.begins >= lease / 4) and each.verb in ("", "renew")
    )
    # A later one may have come after the decision.
    return max((end for end in ends if moment - lease < end < moment - 0.25), default=0.0)
