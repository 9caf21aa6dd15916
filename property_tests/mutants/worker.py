"""Faults in the worker: in its leases, its claims, its limits, its settles and its shutdown."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_RENEW: Final = "_worker/renew.py"
_RUN: Final = "_worker/run.py"
_SWEEP: Final = "_worker/sweep.py"
_DEQUEUE: Final = "_worker/dequeue.py"
_WATCH: Final = "_worker/watch.py"
_LIMITER: Final = "_worker/limiter.py"
_HANDLER: Final = "_worker/handler.py"
_SETTLE: Final = "_worker/settle.py"
_STORE_CLIENT: Final = "_worker/store_client.py"

MUTANTS: Final = (
    Mutant("leases are not renewed", _RENEW, "renew_once", "run.leases()", "[]"),
    Mutant("a worker that drains does not renew its leases", _RENEW, "_keep_renewing", "True", "not run.draining"),
    Mutant(
        "a handler that has lost its lease runs on",
        _RENEW,
        "_stopped",
        "active if active.cancel(reason) else None",
        "active",
    ),
    Mutant(
        "a worker that claims its own lost job again lets the earlier run go on",
        _RUN,
        "WorkerRun.hold",
        "self._displace(self.held[key])",
        "",
    ),
    Mutant(
        "a worker keeps leases of jobs that it does not run",
        _RENEW,
        "_follow_up",
        "run.owns_name and findings.reply.unlisted",
        "False",
    ),
    Mutant(
        "a worker releases a job whose claim is on its way to it",
        _RENEW,
        "_release_unlisted",
        "reply.now - run.limits.lease / 2",
        "reply.now",
    ),
    Mutant(
        "a worker releases a job that it runs",
        _RENEW,
        "_release_unlisted",
        "(key for key in reply.unlisted if key not in run.held)",
        "reply.unlisted",
    ),
    Mutant(
        "a worker reclaims a job that it runs",
        _SWEEP,
        "_verdict",
        "ours or trio.current_time() < run.store.trusted_from",
        "trio.current_time() < run.store.trusted_from",
    ),
    Mutant(
        "an outage turns healthy jobs into crashes",
        _SWEEP,
        "_verdict",
        "ours or trio.current_time() < run.store.trusted_from",
        "ours",
    ),
    Mutant(
        "a worker that starts as an outage ends turns healthy jobs into crashes",
        _STORE_CLIENT,
        "StoreClient.note_time",
        "self._least_time == -inf or now - self.now() > self._lease / 4",
        "now - self.now() > self._lease / 4",
    ),
    Mutant(
        "a sweep believes what it read before the event loop was blocked",
        _SWEEP,
        "_sweep_overdue",
        "trio.current_time() - max(asked_at, run.renewed_at) > run.limits.quarter",
        "False",
    ),
    Mutant("no worker sweeps", _SWEEP, "sweep", "_sweep_overdue(run, batch)", "trio.lowlevel.checkpoint()"),
    Mutant("a worker that gets no hint never claims", _DEQUEUE, "Dequeue._wait", "min(due, self._poll)", "due"),
    Mutant(
        "a cancel hint cancels every job of the worker",
        _WATCH,
        "watch",
        "if hint & Hint.CANCELLED:\n    run.hear_of_cancel()",
        "if hint & Hint.CANCELLED:\n    for active in run.held.values():\n        active.cancel_by_user()",
    ),
    Mutant("a busy worker asks for jobs on their last life", _DEQUEUE, "Dequeue._claim", "self._was_idle", "True"),
    Mutant(
        "a drain loses jobs on their way to the limiter",
        _DEQUEUE,
        "Dequeue.run",
        "send.send_nowait(batch)",
        "await trio.lowlevel.checkpoint()\nsend.send_nowait(batch)",
    ),
    Mutant(
        "the limiter gives a token back twice",
        _LIMITER,
        "admitted_or_ended",
        "if admission is Admission.RUN and (not give_back):\n    return True",
        "if admission is Admission.RUN and (not give_back):\n"
        "    return True\n"
        "if run.rate is not None:\n"
        "    run.rate.give_back()",
    ),
    Mutant(
        "a job starts after its TTL",
        _LIMITER,
        "admitted_or_ended",
        "admit(active.job, now)",
        "admit(active.job, active.job.run_at)",
    ),
    Mutant(
        "a handler may run for longer than its timeout",
        _HANDLER,
        "_run",
        "active.scope.deadline = trio.current_time() + timeout",
        "",
    ),
    Mutant(
        "an outage loses the outcome of a job",
        _SETTLE,
        "_write",
        "reply = await _settle([change for _, change in writes], run)",
        "reply = await run.store.ask_once(lambda: run.store.backend.settle([change for _, change in writes]))\n"
        "if reply is None:\n"
        "    run.forget([active for active, _ in writes])\n"
        "    return",
    ),
    Mutant(
        "a stale outcome is written again and ends the run that won",
        _SETTLE,
        "_tell",
        "await report_lost_jobs(run, lost=[active.job for active in late])",
        "await report_lost_jobs(run, lost=[active.job for active in late])\n"
        "for active in late:\n"
        "    [winner] = (await run.store.backend.get(active.job.queue, [active.job.id])).jobs\n"
        "    if winner is not None and winner.lease_until is not None:\n"
        "        await run.store.ask(partial(run.store.backend.settle, [step(winner, Release(), now)]))",
    ),
    Mutant("a settle that lost is reported as stored", _SETTLE, "_tell", "verdict is Verdict.STORED", "True"),
    Mutant("an outage ends the worker", _STORE_CLIENT, "StoreClient.ask_once", "return None", "raise"),
    Mutant(
        "a worker that drains starts the jobs that it has claimed",
        _LIMITER,
        "admitted_or_ended",
        "run.draining or now >= active.start_by",
        "now >= active.start_by",
    ),
    Mutant(
        "a job starts although its lease has ended",
        _LIMITER,
        "admitted_or_ended",
        "run.draining or now >= active.start_by",
        "run.draining",
    ),
    Mutant(
        "a drain leaves no time to the handlers",
        _RUN,
        "WorkerRun.stop",
        "trio.current_time() + grace",
        "trio.current_time()",
    ),
    Mutant("a drain does not stop the claims", _RUN, "WorkerRun.stop", "self.claiming.cancel()", ""),
    Mutant(
        "a shutdown loses the last outcomes",
        _RUN,
        "WorkerRun.begin_last_writes",
        "trio.current_time() + LAST_WRITES",
        "trio.current_time()",
    ),
)
