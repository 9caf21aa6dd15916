"""Faults in the worker: its stages, its leases, its limits, its shutdown."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_DEQUEUE: Final = "_worker/dequeue.py"
_HANDLER: Final = "_worker/handler.py"
_LIMITER: Final = "_worker/limiter.py"
_PIPELINE: Final = "_worker/pipeline.py"
_RENEW: Final = "_worker/renew.py"
_RUNNING: Final = "_worker/running.py"
_SETTLE: Final = "_worker/settle.py"
_SHIFT: Final = "_worker/shift.py"
_STORE: Final = "_worker/store.py"
_SWEEP: Final = "_worker/sweep.py"
_WATCH: Final = "_worker/watch.py"

MUTANTS: Final = (
    # --- leases ---
    Mutant(
        "leases are not renewed",
        _RENEW,
        "shift.store.backend.renew(shift.presence(), shift.leases())",
        "shift.store.backend.renew(shift.presence(), [])",
    ),
    Mutant("leases are renewed when they have run out", _SHIFT, "return self.lease / 4", "return self.lease * 1.25"),
    Mutant(
        "a worker that drains renews no more",
        _RENEW,
        "    while True:\n        with trio.move_on_at(shift.next_renewal):\n",
        "    while not shift.draining:\n        with trio.move_on_at(shift.next_renewal):\n",
    ),
    Mutant(
        "a handler whose lease is lost goes on",
        _RENEW,
        "    return running if running.cancel(reason) else None",
        "    return running",
    ),
    Mutant(
        "a worker that claims its own lost job again lets the earlier run go on",
        _SHIFT,
        "            self._displace(self.held[key])\n",
        "            pass\n",
    ),
    Mutant(
        "leases that the worker does not know of are kept",
        _RENEW,
        "            if shift.owns_name and findings.reply.unlisted:\n",
        "            if False:\n",
    ),
    Mutant(
        "a renewal waits for what an earlier one brought to light",
        _RENEW,
        "        send.send_nowait(_Findings(stopped, reply))\n",
        "        at_once, findings = trio.open_memory_channel[_Findings](1)\n"
        "        at_once.send_nowait(_Findings(stopped, reply))\n"
        "        at_once.close()\n"
        "        await _follow_up(findings, shift)\n",
    ),
    Mutant(
        "a job whose claim is still being answered is released",
        _RENEW,
        "(job.started_at or 0.0) <= reply.now - shift.limits.lease / 2:",
        "(job.started_at or 0.0) <= reply.now:",
    ),
    Mutant(
        "a job that runs is released for one whose claim was never answered",
        _RENEW,
        "key for key in reply.unlisted if key not in shift.held",
        "reply.unlisted",
    ),
    Mutant(
        "a worker reclaims what it runs itself",
        _SWEEP,
        "        if ours or trio.current_time()",
        "        if trio.current_time()",
    ),
    Mutant(
        "an outage turns healthy jobs into crashes",
        _SWEEP,
        "        if ours or trio.current_time() < shift.store.trusted_from:",
        "        if ours:",
    ),
    Mutant(
        "what was read before the event loop was blocked is believed after that",
        _SWEEP,
        "        if trio.current_time() - asked_at > shift.limits.quarter:\n",
        "        if False:\n",
    ),
    Mutant(
        "any slow reply keeps a worker from taking back what the dead have left",
        _STORE,
        "        if now - self.now() > self._lease / 4:\n",
        "        if max(now - self.now(), trio.current_time() - asked_at) > self._lease / 4:\n",
    ),
    Mutant(
        "a worker sweeps before it renews",
        _SWEEP,
        "        await shift.renewed.wait()\n",
        "        await trio.sleep(shift.limits.quarter / 2)\n",
    ),
    Mutant(
        "nobody sweeps",
        _SWEEP,
        "            await _sweep_overdue(shift)\n",
        "            await trio.lowlevel.checkpoint()\n",
    ),
    Mutant(
        "the wall clock of a worker decides",
        _STORE,
        "        return self._heard + (trio.current_time() - self._heard_at)",
        "        return time.time()",
    ),
    Mutant(
        "a slow reply sets the clock back",
        _STORE,
        "        self._heard, self._heard_at = min(max(now, self.now()), latest), trio.current_time()\n",
        "        self._heard, self._heard_at = now, trio.current_time()\n",
    ),
    # --- claims ---
    Mutant(
        "a hint is trusted to come: nobody looks without one",
        _DEQUEUE,
        "        with trio.move_on_after(min(due, self._poll)):\n",
        "        with trio.move_on_after(due):\n",
    ),
    Mutant(
        "a hint is trusted to be about us: every running job is cancelled",
        _WATCH,
        "                        shift.hear_of_cancel()\n        except",
        "                        for running in shift.held.values():\n"
        "                            running.cancel_by_user()\n"
        "        except",
    ),
    Mutant(
        "a worker claims one more than it has slots",
        _DEQUEUE,
        "reply = await self._claim(len(slots))",
        "reply = await self._claim(len(slots) + 1)",
    ),
    Mutant(
        "a poison pill is not isolated: every worker says that it is idle",
        _DEQUEUE,
        "self._order, limit, shift.identity, shift.limits.lease, self._was_idle\n",
        "self._order, limit, shift.identity, shift.limits.lease, True\n",
    ),
    Mutant(
        "a drain loses the jobs that are on their way to the limiter",
        _DEQUEUE,
        "                    send.send_nowait(batch)\n",
        "                    await trio.lowlevel.checkpoint()\n                    send.send_nowait(batch)\n",
    ),
    Mutant(
        "a worker that becomes empty during a claim does not look at once whether a poison pill waits",
        _DEQUEUE,
        "        if reply.last_life and shift.idle and not self._was_idle:\n",
        "        if False:\n",
    ),
    Mutant(
        "a worker that makes room for a poison pill does not notice that another has taken it",
        _DEQUEUE,
        "            if reply is not None and not reply.last_life:\n                return\n",
        "",
    ),
    Mutant(
        "what a late answer brings is released before it comes",
        _RENEW,
        "    if shift.stood_still:\n        return\n",
        "",
    ),
    Mutant(
        "a claim that is answered after half a lease is forgotten",
        _DEQUEUE,
        "        finally:\n            shift.claim_asked_at = inf\n        if reply is not None:\n",
        "        finally:\n"
        "            late = shift.stood_still\n"
        "            shift.claim_asked_at = inf\n"
        "        if late:\n"
        "            return None\n"
        "        if reply is not None:\n",
    ),
    # --- limits ---
    Mutant(
        "the limiter refunds twice",
        _LIMITER,
        "    shift.end(running, Interrupted()",
        "    if shift.rate is not None:\n        shift.rate.give_back()\n    shift.end(running, Interrupted()",
    ),
    Mutant(
        "a token comes back as soon as its handler starts",
        _HANDLER,
        "        shift.rate.spend()\n",
        "        shift.rate.give_back()\n",
    ),
    Mutant(
        "a job that may not start keeps its slot",
        _SHIFT,
        "        self.unsettled += 1\n        self.give_back(running)\n        if not self._ended:\n",
        "        self.unsettled += 1\n"
        "        if running.spent:\n"
        "            self.give_back(running)\n"
        "        if not self._ended:\n",
    ),
    Mutant(
        "a job that may not start keeps its token",
        _SHIFT,
        "        if self.rate is not None and not running.spent:\n",
        "        if False:\n",
    ),
    Mutant(
        "a job starts after its TTL",
        _LIMITER,
        "admission = admit(running.job, now)",
        "admission = admit(running.job, running.job.run_at)",
    ),
    Mutant(
        "a handler may take longer than its timeout",
        _HANDLER,
        "        running.scope.deadline = trio.current_time() + timeout\n",
        "",
    ),
    # --- how a run ends ---
    Mutant(
        "a job is settled before it runs",
        _HANDLER,
        "    try:\n        outcome = await _run(running, shift)\n",
        '    shift.end(running, Returned(b"null"))\n    try:\n        outcome = await _run(running, shift)\n',
    ),
    Mutant(
        "a shutdown spends an attempt",
        _HANDLER,
        "        case Reason.SHUTDOWN:\n            return Interrupted()\n",
        '        case Reason.SHUTDOWN:\n            return Raised("the worker stopped")\n',
    ),
    Mutant(
        "a timeout spends no attempt",
        _HANDLER,
        "        case Reason.TIMEOUT:\n            return TimedOut(",
        "        case Reason.TIMEOUT:\n            return Interrupted() or TimedOut(",
    ),
    Mutant(
        "a job that was cancelled by its user is released",
        _HANDLER,
        "            return CancelledByUser()\n",
        "            return Interrupted()\n",
    ),
    Mutant(
        "an outcome is given up in the first outage",
        _SETTLE,
        "        reply = await store.ask(lambda: store.backend.settle([change for _, change in writes]))\n",
        "        reply = await store.ask_once(lambda: store.backend.settle([change for _, change in writes]))\n"
        "        if reply is None:\n"
        "            shift.forget([running for running, _ in writes])\n"
        "            return\n",
    ),
    Mutant(
        "a stale outcome is tried again: it ends the run that won",
        _SETTLE,
        "        await tell_losses(shift, lost=[running.job for running in late])\n",
        "        await tell_losses(shift, lost=[running.job for running in late])\n"
        "    for running in late:\n"
        "        [winner] = (await shift.store.backend.get(running.job.queue, [running.job.id])).jobs\n"
        "        if winner is not None and winner.lease_until is not None:\n"
        "            await shift.store.ask(partial(shift.store.backend.settle, [step(winner, Release(), now)]))\n",
    ),
    Mutant(
        "a lost settle is told of like a stored one",
        _SETTLE,
        "        if verdict is Verdict.STORED:\n            name =",
        "        if True:\n            name =",
    ),
    Mutant(
        "an outage ends the worker",
        _STORE,
        "        except BackendUnavailable as error:\n            self._note_lost(error)\n            return None\n",
        "        except BackendUnavailable as error:\n            self._note_lost(error)\n            raise\n",
    ),
    Mutant(
        "a cancel by the user is taken for a timeout or a shutdown",
        _RUNNING,
        "        if self.why is not None:\n            return self.why\n        timeout",
        "        timeout",
    ),
    # --- shutdown ---
    Mutant(
        "a drain starts what was claimed",
        _LIMITER,
        "    give_back = shift.draining or now >= running.start_by\n",
        "    give_back = now >= running.start_by\n",
    ),
    Mutant(
        "a job begins though its lease ran out on its way here",
        _LIMITER,
        "    give_back = shift.draining or now >= running.start_by\n",
        "    give_back = shift.draining\n",
    ),
    Mutant(
        "a drain gives no grace",
        _SHIFT,
        "        deadline = trio.current_time() + grace\n",
        "        deadline = trio.current_time()\n",
    ),
    Mutant(
        "a drain does not stop the claims",
        _SHIFT,
        "            self.claiming.cancel()\n",
        "",
    ),
    Mutant(
        "settle has no shield: a shutdown loses the last outcomes",
        _SHIFT,
        "        self.last_writes.deadline = trio.current_time() + LAST_WRITES\n",
        "        self.last_writes.deadline = trio.current_time()\n",
    ),
)
