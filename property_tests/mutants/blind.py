"""Faults written from the contract and the code by somebody who had not seen the properties.

Kept as they came; where the code has changed since, they are made in what it is now.
"""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

MUTANTS: Final = (
    # 'Reclaims nothing for one lease': a worker that is slower to find the store again (a timeout of lease / 3 and a
    # pause) has its healthy jobs reclaimed as crashes between a quarter and a whole lease after the outage.
    Mutant(
        "after an outage a worker distrusts its view for a quarter of a lease instead of a whole one",
        "_worker/store.py",
        "        self.trusted_from = trio.current_time() + self._lease\n",
        "        self.trusted_from = trio.current_time() + self._lease / 4\n",
    ),
    # An outage must not turn healthy jobs into crashes: after the machine slept, or the store's clock was set
    # forward, the first sweep reclaims every job of the other workers, which were just as asleep.
    Mutant(
        "a store clock that jumps ahead is mistaken for one that went back, so the leases it swallowed count",
        "_worker/store.py",
        "        if now - self.now() > self._lease / 4:\n",
        "        if self.now() - now > self._lease / 4:\n",
    ),
    # The run fences: where this worker claimed the job again while a renewal of its former run was under way, the
    # healthy new run is cancelled as lost, told as job:lost, settles nothing and ends as a crash.
    Mutant(
        "a late answer about a lost run stops the run that came after it",
        "_worker/renew.py",
        "    if running is None or running.job.run != lease.run:\n        return None\n",
        "    if running is None:\n        return None\n",
    ),
    # Every job is renewed from its claim to its settle: a job retried or released and claimed again before the reply
    # to its settle is heard is never renewed, so another worker starts it beside the first.
    Mutant(
        "forgetting a settled run also forgets the next run of the same job",
        "_worker/shift.py",
        "            if self.held.get(key) is running:"
        "  # else it is the next run, claimed before we heard of this one's end\n"
        "                del self.held[key]\n",
        "            self.held.pop(key, None)\n",
    ),
    # Leases are renewed every quarter: under run_until_idle, which rests 60 s between renewals, a handler longer than
    # the lease loses its job to another worker, and it runs twice.
    Mutant(
        "the first job after a rest no longer ends the rest: it is put among the held before they are looked at",
        "_worker/shift.py",
        "        if not self.held and self.next_renewal > trio.current_time() + self.limits.quarter:\n"
        "            self.renew_now.set()  # the rest is over\n"
        "        key = job.queue, job.id\n"
        "        if key in self.held:\n"
        "            self._displace(self.held[key])\n"
        "        self.held[key] = running\n",
        "        key = job.queue, job.id\n"
        "        if key in self.held:\n"
        "            self._displace(self.held[key])\n"
        "        self.held[key] = running\n"
        "        if not self.held and self.next_renewal > trio.current_time() + self.limits.quarter:\n"
        "            self.renew_now.set()  # the rest is over\n",
    ),
    # Every job is renewed from its claim to its settle: where settling takes longer than a lease while renewals get
    # through (a slow or refused batch, a short lease), finished work is reclaimed and done again.
    Mutant(
        "the leases of runs that have ended are not renewed while their outcomes wait to be stored",
        "_worker/shift.py",
        "        return [Lease(held.job.queue, held.job.id, held.job.run, held.progress)"
        " for held in self.held.values()]\n",
        "        running = (held for held in self.held.values() if not held.ended)\n"
        "        return [Lease(held.job.queue, held.job.id, held.job.run, held.progress) for held in running]\n",
    ),
    # 'At shutdown a thread has grace + 5 s': a thread whose job timed out, was cancelled or lost before the stop is
    # waited for for ever, and so the worker never stops.
    Mutant(
        "a stop does not tell those who wait for a thread already when they may give it up",
        "_worker/shift.py",
        "            self.thread_deadline = deadline + LAST_WRITES\n"
        "            for scope in self.thread_waits:\n"
        "                scope.deadline = self.thread_deadline\n",
        "            self.thread_deadline = deadline + LAST_WRITES\n",
    ),
    # 'A hint during a claim makes another': a job stored after the claim was answered, but before the answer was
    # heard, is not picked up at once but 2.5 s later (60 s under run_until_idle).
    Mutant(
        "the bell is hung up anew after the claim instead of before it",
        "_worker/dequeue.py",
        "                shift.ready = trio.Event()  # before the claim: a hint during it makes another\n"
        "                cancels = shift.cancel_hints\n"
        "                try:\n"
        "                    reply = await self._claim(len(slots))\n",
        "                cancels = shift.cancel_hints\n"
        "                try:\n"
        "                    reply = await self._claim(len(slots))\n"
        "                    shift.ready = trio.Event()\n",
    ),
    # 'What the claim did not use goes back at once': a stop during a claim keeps the slots and tokens for ever, so a
    # shared limiter, or the same worker started again, has none left.
    Mutant(
        "slots and tokens in hand come back after the claim, but not when the claim is cancelled",
        "_worker/dequeue.py",
        "                unused: Sequence[object] = slots\n"
        "                shift.ready = trio.Event()  # before the claim: a hint during it makes another\n"
        "                cancels = shift.cancel_hints\n"
        "                try:\n"
        "                    reply = await self._claim(len(slots))\n"
        "                    jobs = () if reply is None else reply.jobs\n"
        "                    unused = slots[len(jobs) :]\n"
        "                    batch = [\n"
        "                        shift.hold(job, slot, job.lease_until or inf)"
        " for job, slot in zip(jobs, slots, strict=False)\n"
        "                    ]\n"
        "                finally:\n"
        "                    self._give_back(unused)\n",
        "                shift.ready = trio.Event()  # before the claim: a hint during it makes another\n"
        "                cancels = shift.cancel_hints\n"
        "                reply = await self._claim(len(slots))\n"
        "                jobs = () if reply is None else reply.jobs\n"
        "                batch = [\n"
        "                    shift.hold(job, slot, job.lease_until or inf)"
        " for job, slot in zip(jobs, slots, strict=False)\n"
        "                ]\n"
        "                self._give_back(slots[len(jobs) :])\n",
    ),
    # 'Never waits with either in hand': a rate-limited worker keeps every slot of a shared CapacityLimiter from its
    # neighbours until its next token, and one that is stopped while it waits never returns them.
    Mutant(
        "a worker waits for a rate token with its slots in hand",
        "_worker/dequeue.py",
        "            tokens = shift.rate.take(len(slots))\n"
        "            self._release(slots[tokens:])\n"
        "            if tokens:\n"
        "                return slots[:tokens]\n"
        "            await shift.rate.wait_available()\n",
        "            await shift.rate.wait_available()\n"
        "            tokens = shift.rate.take(len(slots))\n"
        "            self._release(slots[tokens:])\n"
        "            if tokens:\n"
        "                return slots[:tokens]\n",
    ),
    # 'When one has waited for a lease, a worker that learns of it stops claiming until it is empty': a worker with a
    # steady stream of short jobs claims more often than that, so the last-life job is never run.
    Mutant(
        "the wait of a last-life job is counted from the last claim that saw it, not from the first",
        "_worker/dequeue.py",
        "        if self._last_life_since is None:\n"
        "            self._last_life_since = reply.now\n"
        "        return reply.now - self._last_life_since >= self._shift.limits.lease\n",
        "        since, self._last_life_since = self._last_life_since, reply.now\n"
        "        return since is not None and reply.now - since >= self._shift.limits.lease\n",
    ),
    # 'That worker starts nothing beside it': with more than one slot, jobs claimed beside a poison pill die with its
    # os._exit, and are charged a crash for it.
    Mutant(
        "a worker that runs a last-life job goes on claiming",
        "_worker/dequeue.py",
        "        if reply.jobs and reply.jobs[0].last_life:\n",
        "        if False:\n",
    ),
    # 'It claims from them in turn, starting with another each time': of three queues the middle one is never the
    # first, and starves while the other two are full.
    Mutant(
        "the queues of a worker take turns back and forth instead of round",
        "_worker/dequeue.py",
        "        self._order.append(self._order.pop(0))  # each queue is the first in its turn\n",
        "        self._order.reverse()  # each queue is the first in its turn\n",
    ),
    # Events tell of a thing once: a handler that is stopped for a lost lease and still returns emits job:lost twice,
    # and statistics().lost counts two.
    Mutant(
        "a job that was told to be lost is told again when its handler returns all the same",
        "_worker/settle.py",
        "        elif not running.lost:\n            late.append(running)\n",
        "        else:\n            late.append(running)\n",
    ),
    # 'The process whose change was committed emits': when two workers sweep the same dead lease (or its owner renews
    # just then), the loser emits job:stalled, job:failed or job:expired for what did not happen.
    Mutant(
        "a sweep tells of every step that it tried, not only of those that were stored",
        "_worker/settle.py",
        "    for job, change in stored:\n        shift.counts[change.event.name] += 1\n",
        "    for job, change in steps:\n        shift.counts[change.event.name] += 1\n",
    ),
    # 'Returned beats the reason of a cancel': a sync handler that finishes while its worker waits for the thread
    # (drain, timeout) is released or retried, and its finished work is done again.
    Mutant(
        "what a thread returned after it was cancelled is thrown away",
        "_worker/threads.py",
        "        if isinstance(error, trio.Cancelled):"
        "  # it came from check_cancelled, and belongs to this cancellation\n",
        "        if error is None or isinstance(error, trio.Cancelled):\n",
    ),
    # Fencing by run: handle_job or _run_with_limits given a claim that was reclaimed meanwhile and is under way
    # elsewhere starts the handler a second time, beside the rightful one.
    Mutant(
        "handle_job believes a claim while anybody holds the job, whichever run it is",
        "_worker/functions.py",
        "        elif stored is None or (stored.run, stored.state) != (job.run, State.ACTIVE):\n",
        "        elif stored is None or stored.state is not State.ACTIVE:\n",
    ),
    # 'Never more than limit starts in any window of interval', per Worker object: a worker stopped and started again
    # within the interval starts up to twice as many.
    Mutant(
        "each start of a worker makes a new rate limiter",
        "_worker/worker.py",
        "        if self._limiter is None or self._limited != (limit, interval):\n"
        "            self._limiter, self._limited = RateLimiter(limit, interval), (limit, interval)\n",
        "        self._limiter, self._limited = RateLimiter(limit, interval), (limit, interval)\n",
    ),
    # Order is priority, then time of readiness: a retry, a snoozed or a delayed job overtakes jobs that were ready
    # long before it, because it was enqueued earlier.
    Mutant(
        "ready jobs of one priority come by age, not by their time of readiness",
        "backends/sqlite/queries.sql",
        "ORDER BY j.priority, j.run_at, j.seq LIMIT ?;",
        "ORDER BY j.priority, j.seq LIMIT ?;",
    ),
    # A renewal compares (id, run): a stale owner whose job was reclaimed and claimed by another is told that all is
    # well, so both handlers go on, and it prolongs the lease of a new owner that may be dead.
    Mutant(
        "a renewal takes an earlier run for the present one",
        "backends/sqlite/queries.sql",
        "WHERE queue = ? AND id = ? AND run = ? AND shelf = 'held';",
        "WHERE queue = ? AND id = ? AND run >= ? AND shelf = 'held';",
    ),
    # 'A retry due after expires_at stays delayed and expires': scheduled jobs, retries and snoozed jobs past their
    # TTL stay delayed until they come due, and in a paused queue for ever.
    Mutant(
        "the sweep expires waiting jobs only, and no delayed ones",
        "backends/sqlite/queries.sql",
        "    AND j.state IN ('waiting', 'delayed')\nORDER BY j.expires_at LIMIT ?;",
        "    AND j.state = 'waiting'\nORDER BY j.expires_at LIMIT ?;",
    ),
    # A live unique_key returns the job that holds it: where an earlier job with the key has ended and is still kept,
    # enqueue answers with that one, and result() gives yesterday's result.
    Mutant(
        "the holder of a unique key may be a job that has ended",
        "backends/sqlite/queries.sql",
        "WHERE j.queue = ? AND j.unique_key = ? AND j.shelf <> 'final';",
        "WHERE j.queue = ? AND j.unique_key = ?;",
    ),
    # 'A seq that the store never uses twice': once the newest record is removed or pruned, the next job gets its seq,
    # so a stale write for a removed job can land on a new one with the same id.
    Mutant(
        "the last seq is the highest one that is still there",
        "backends/sqlite/queries.sql",
        "SELECT seq FROM sqlite_sequence WHERE name = 'jobs';",
        "SELECT coalesce(max(seq), 0) FROM jobs;",
    ),
    # A unique_key is unique among the jobs that are not final: while a job with the key runs, a second one is stored,
    # and the first one's retry or release is then refused.
    Mutant(
        "a unique key is unique among the jobs that nobody has claimed",
        "backends/sqlite/migrations/0001_initial.sql",
        "WHERE unique_key IS NOT NULL AND shelf <> 'final';",
        "WHERE unique_key IS NOT NULL AND shelf NOT IN ('held', 'final');",
    ),
    # Stale writes are refused: when success and cancel (or a reclaim) race from the same version, the loser hears
    # that it is stored, so job:completed is told of a cancelled job and cancel() says True of a completed one.
    Mutant(
        "a change counts as already stored when the version is the one it wanted",
        "backends/sqlite/store.py",
        '    kept = {column: value for column, value in zip(columns, values, strict=True) if column != "shelf"}\n',
        '    kept = {column: value for column, value in zip(columns, values, strict=True) if column == "version"}\n',
    ),
    # 'A Reclaim is stored only if lease_until is still the one that was read': a job on its last life whose owner
    # renewed between the look and the reclaim is failed while it runs in good health.
    Mutant(
        "a reclaim that ends the job does not compare the lease it read",
        "backends/sqlite/store.py",
        "    compares_lease = change.lease_until is not None\n",
        "    compares_lease = change.lease_until is not None and not change.state.final\n",
    ),
    # 'From then on a write returns its reply or raises BackendUnavailable': a stop during a claim throws its reply
    # away, so the claimed jobs are not released but wait out their lease and are charged a crash.
    Mutant(
        "a write that has begun is not shielded from the cancellation that came upon it",
        "backends/sqlite/actor.py",
        "            waiting.shield = True\n",
        "",
    ),
    # 'Nothing is lost in between': when the disk is full or fails at COMMIT, enqueue returns handles of jobs, and
    # claim hands out jobs, that the rollback has undone.
    Mutant(
        "a COMMIT that fails is told only to the requests that have no result yet",
        "backends/sqlite/commit.py",
        "                request.error = request.error or error\n",
        "                if request.result is None:\n                    request.error = request.error or error\n",
    ),
    # overdue answers jobs past their TTL until they are settled: one that was cut off by the limit, or whose sweeper
    # was stopped before it wrote, stays waiting for ever in a paused queue.
    Mutant(
        "an expired job is shown to one sweep only",
        "backends/memory.py",
        "        for job in found:  # they are answered until somebody settles them\n"
        "            heappush(shelves.expiring, (job.expires_at or 0.0, job.seq, job.id, job.version))\n",
        "",
    ),
    # 'Also past the deadline: a lease is lost only when somebody took it': after a blocked event loop or an outage
    # longer than the lease, every running handler is cancelled although no other worker wanted its job.
    Mutant(
        "a lease that ran out is lost though nobody took it",
        "backends/memory.py",
        "            elif job.run == lease.run and job.state is State.ACTIVE:\n",
        "            elif job.run == lease.run and job.state is State.ACTIVE and (job.lease_until or 0.0) > now:\n",
    ),
    # 'A last-life job only to an idle worker, alone': with a limit above 1 healthy jobs are claimed beside a poison
    # pill and crash with it.
    Mutant(
        "a claim that hands out a last-life job fills up with others",
        "backends/memory.py",
        "        else:\n"
        "            for shelves in open_queues.values():\n"
        "                jobs += self._hold(shelves, shelves.ready, limit - len(jobs), claim, now)\n",
        "        for shelves in open_queues.values():\n"
        "            jobs += self._hold(shelves, shelves.ready, limit - len(jobs), claim, now)\n",
    ),
    # next_due is that of the queues that aren't paused: a delayed job that came due in a paused queue keeps the
    # worker claiming in a loop, and run_until_idle() never returns.
    Mutant(
        "next_due looks at paused queues, too",
        "backends/memory.py",
        "        timed = [shelves.first(shelves.timed) for shelves in open_queues.values()]\n",
        "        timed = [self._shelves[name].first(self._shelves[name].timed) for name in queues]\n",
    ),
    # A unique_key is unique among live jobs: when an older, ended job with the key is pruned or removed while a newer
    # one is live, a second live job with that key can be enqueued.
    Mutant(
        "dropping the record of an ended job frees its key, whoever has it now",
        "backends/memory.py",
        "        if job.unique_key is not None and self.keys.get(job.unique_key) == job.id:\n"
        "            del self.keys[job.unique_key]\n"
        "        if len(self.order)",
        "        if job.unique_key is not None:\n"
        "            self.keys.pop(job.unique_key, None)\n"
        "        if len(self.order)",
    ),
    # Settle compares (id, seq, version): the old worker of a job that was cancelled, removed and enqueued again under
    # its id can complete the new job, whose handler has not run to its end.
    Mutant(
        "a settle compares the id and the version, but not the seq",
        "backends/memory.py",
        "    if job.seq != change.seq or job.version != change.version:\n",
        "    if job.version != change.version:\n",
    ),
    # 'Expired means now >= expires_at': a job claimed exactly at expires_at, or any with ttl=0, is run.
    Mutant(
        "a job may still begin at the very moment at which it expires",
        "_core/lifecycle.py",
        "    if job.expires_at is not None and now >= job.expires_at:\n",
        "    if job.expires_at is not None and now > job.expires_at:\n",
    ),
    # 'TTL counts from created_at': a job with delay=50 and ttl=60 may still start 110 s after it was enqueued, and
    # one scheduled past its TTL never expires before it is due.
    Mutant(
        "the TTL of a delayed job counts from the time it is due",
        "_core/lifecycle.py",
        '            "run_at": run_at,\n            "expires_at": None if job.ttl is None else now + job.ttl,\n',
        '            "run_at": run_at,\n            "expires_at": None if job.ttl is None else run_at + job.ttl,\n',
    ),
    # Retry(after=) says when: a handler that asks for a retry at once gets one after the backoff, up to 5 minutes
    # later in a late attempt.
    Mutant(
        "Retry(after=0) waits for the backoff",
        "_core/lifecycle.py",
        "            return Fail(cut(error), next_retry_delay(job, roll) if after is None else after)\n",
        "            return Fail(cut(error), after or next_retry_delay(job, roll))\n",
    ),
    # Exponential waits min(max_delay, base * factor ** (n - 1)), less a share of it: beyond the cap there is no
    # jitter any more, and jobs that failed together come back together.
    Mutant(
        "jitter is taken off before the backoff is capped",
        "_core/backoff.py",
        "        full = min(self.max_delay, self.base * growth) if self.base else 0.0\n"
        "        return full * (1 - self.jitter * roll)\n",
        "        full = self.base * growth * (1 - self.jitter * roll) if self.base else 0.0\n"
        "        return min(self.max_delay, full)\n",
    ),
    # 'Never more than limit starts in any window': after a refund of an early spending, a later start that did happen
    # is forgotten, and a window that begins with it holds one too many.
    Mutant(
        "a refunded start takes back the latest date instead of the oldest",
        "_core/rate.py",
        "            # Whichever it was, the oldest date goes:"
        " to drop a later one could forget a start that did happen.\n"
        "            self._spent.popleft()\n",
        "            self._spent.pop()\n",
    ),
    # Snooze or Retry only if every other leaf is a signal or Cancelled: a real error raised in a nursery beside a
    # Snooze is put off, spends no attempt and is never told.
    Mutant(
        "one signal in a group of exceptions outweighs the errors beside it",
        "_core/outcome.py",
        "    if all(isinstance(leaf, (Signal, cancelled)) for leaf in leaves):\n",
        "    if any(isinstance(leaf, (Signal, cancelled)) for leaf in leaves):\n",
    ),
    # options(run_at=) overrides the task's: a task declared with delay=60 runs a job scheduled for tomorrow after a
    # minute (or refuses it, where that delay is not below a ttl).
    Mutant(
        "run_at given for one job does not put out the delay of its task",
        "_task.py",
        '    if "run_at" in fields:\n        fields["delay"] = None\n',
        "",
    ),
    # cancel is False only when the job had ended: one that races with a claim or a retry answers False, and the job
    # runs on uncancelled.
    Mutant(
        "cancel, requeue and so on give up when somebody else changed the job first",
        "_queue.py",
        "            if verdict is Verdict.KEY_TAKEN:\n                return None\n",
        "            return None\n",
    ),
    # 'An error tells which are stored': the jobs of the chunk with the taken id are stored, but missing from
    # NotAllStored (in the first chunk: a bare IdTaken), so a producer that sends them again has them twice.
    Mutant(
        "enqueue_many raises for a taken id before it notes what else of the chunk is stored",
        "_queue.py",
        "                handles += stored\n                if taken is not None:\n                    raise taken\n",
        "                if taken is not None:\n                    raise taken\n                handles += stored\n",
    ),
    # Events come oldest first: a slow subscriber sees the progress of the second run before the job:retrying that
    # ended the first, and a full mailbox drops an event to make room for a progress that needed none.
    Mutant(
        "a newer progress stands where the older one stood in the subscriber's mailbox",
        "_bus.py",
        "        self._waiting.pop(key, None)  # it comes where it belongs in time, not where the older progress was\n",
        "",
    ),
)
