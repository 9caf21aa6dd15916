"""Faults that an author wrote from the contract and the code, without having seen the properties."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_WORKER_STORE_CLIENT: Final = "_worker/store_client.py"
_WORKER_RENEW: Final = "_worker/renew.py"
_WORKER_RUN: Final = "_worker/run.py"
_WORKER_DEQUEUE: Final = "_worker/dequeue.py"
_WORKER_SETTLE: Final = "_worker/settle.py"
_WORKER_THREADS: Final = "_worker/threads.py"
_WORKER_ASYNCMQ_API: Final = "_worker/asyncmq_api.py"
_WORKER_WORKER: Final = "_worker/worker.py"
_SQLITE_STORE_CLIENT: Final = "backends/sqlite/writes.py"
_SQLITE_THREAD: Final = "backends/sqlite/thread.py"
_SQLITE_GROUP_COMMIT: Final = "backends/sqlite/group_commit.py"
_MEMORY: Final = "backends/memory.py"
_CORE_OUTCOME: Final = "_core/outcome.py"
_QUEUE: Final = "_queue.py"
_BUS: Final = "_bus.py"

MUTANTS: Final = (
    Mutant(
        "after an outage a worker doubts its view for a quarter of a lease instead of a whole one",
        _WORKER_STORE_CLIENT,
        "StoreClient.distrust",
        "self._lease",
        "self._lease / 4",
    ),
    Mutant(
        "a late answer about a lost run stops the next run",
        _WORKER_RENEW,
        "_stopped",
        "active is None or active.job.run != lease.run",
        "active is None",
    ),
    Mutant(
        "a worker that forgets a settled run forgets the next run of the job, too",
        _WORKER_RUN,
        "WorkerRun.forget",
        "if self.held.get(key) is active:\n    del self.held[key]",
        "self.held.pop(key, None)",
    ),
    Mutant(
        "a lease is not renewed while the outcome of its run waits to be stored",
        _WORKER_RUN,
        "WorkerRun.leases",
        "return [Lease(held.job.queue, held.job.id, held.job.run, held.progress) for held in self.held.values()]",
        "active = (held for held in self.held.values() if not held.ended)\n"
        "return [Lease(held.job.queue, held.job.id, held.job.run, held.progress) for held in active]",
    ),
    Mutant(
        "a shutdown does not tell a wait for a thread when it must end",
        _WORKER_RUN,
        "WorkerRun.stop",
        "for scope in self.thread_waits: scope.deadline = self.thread_deadline",
        "",
    ),
    Mutant(
        "a hint that arrives during a claim is forgotten",
        _WORKER_DEQUEUE,
        "Dequeue.run",
        "reply = await self._claim(asked)",
        "reply = await self._claim(asked)\nrun.ready = trio.Event()",
    ),
    Mutant(
        "a claim that is cancelled keeps its slots and tokens",
        _WORKER_DEQUEUE,
        "Dequeue.run",
        "unused: Sequence[object] = slots",
        "unused: Sequence[object] = ()",
    ),
    Mutant(
        "a worker holds its slots while it waits for a token",
        _WORKER_DEQUEUE,
        "Dequeue._take",
        "tokens = run.rate.take(len(slots))",
        "await run.rate.wait_available()\ntokens = run.rate.take(len(slots))",
    ),
    Mutant(
        "a worker that runs a job on its last life claims others",
        _WORKER_DEQUEUE,
        "Dequeue._wait",
        "reply.jobs and reply.jobs[0].last_life",
        "False",
    ),
    Mutant(
        "a sweep reports steps that were not stored", _WORKER_SETTLE, "store_steps", "verdict is Verdict.STORED", "True"
    ),
    Mutant(
        "the result of a thread that was cancelled is thrown away",
        _WORKER_THREADS,
        "run_in_thread",
        "isinstance(error, trio.Cancelled)",
        "error is None or isinstance(error, trio.Cancelled)",
    ),
    Mutant(
        "handle_job runs a job whose claim has been replaced by a later run",
        _WORKER_ASYNCMQ_API,
        "_run",
        "(stored.run, stored.state) != (job.run, State.ACTIVE)",
        "stored.state is not State.ACTIVE",
    ),
    Mutant(
        "each start of a worker makes a new rate limiter",
        _WORKER_WORKER,
        "Worker._rate",
        "self._limiter is None or self._limited != (limit, interval)",
        "True",
    ),
    Mutant(
        "any change to the same version counts as stored already",
        _SQLITE_STORE_CLIENT,
        "_swap",
        "column != 'shelf'",
        "column == 'version'",
    ),
    Mutant(
        "a cancelled caller does not get the reply to a write that has begun",
        _SQLITE_THREAD,
        "ConnectionThread.write",
        "waiting.shield = True",
        "",
    ),
    Mutant(
        "a commit that fails is reported to requests without a result only",
        _SQLITE_GROUP_COMMIT,
        "GroupCommit.serve",
        "request.error = request.error or error",
        "if request.result is None:\n    request.error = request.error or error",
    ),
    Mutant(
        "a lease that has ended is lost although no other worker took its job",
        _MEMORY,
        "InMemoryBackend.renew",
        "job.run == lease.run and job.state is State.ACTIVE",
        "job.run == lease.run and job.state is State.ACTIVE and ((job.lease_until or 0.0) > now)",
    ),
    Mutant("one signal in an exception group hides the errors beside it", _CORE_OUTCOME, "outcome_of", "all", "any"),
    Mutant(
        "a cancel gives up when another change came first",
        _QUEUE,
        "Queue._change",
        "if verdict is Verdict.KEY_TAKEN:\n    return None",
        "return None",
    ),
    Mutant(
        "enqueue_many forgets which jobs of a batch are stored when one id is taken",
        _QUEUE,
        "Queue.enqueue_many",
        "handles += stored",
        "if taken is not None:\n    raise taken\nhandles += stored",
    ),
    Mutant(
        "a new progress takes the place of the older one among waiting events",
        _BUS,
        "Subscription.put",
        "self._waiting.pop(key, None)",
        "",
    ),
)
