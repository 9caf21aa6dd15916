"""Faults in the memory backend."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_MEMORY: Final = "backends/memory.py"

MUTANTS: Final = (
    Mutant(
        "a settle ignores the version",
        _MEMORY,
        "_matches",
        "job.seq != change.seq or job.version != change.version",
        "job.seq != change.seq",
    ),
    Mutant(
        "a reclaim ignores that the lease was renewed",
        _MEMORY,
        "_matches",
        "change.lease_until is None or job.lease_until == change.lease_until",
        "True",
    ),
    Mutant(
        "a repeated write is called stale",
        _MEMORY,
        "InMemoryBackend._settle",
        "_is_stored(shelves.jobs.get(change.id), change)",
        "False",
    ),
    Mutant(
        "a renewal ignores the run",
        _MEMORY,
        "InMemoryBackend.renew",
        "job.run == lease.run and job.state is State.ACTIVE",
        "job.state is State.ACTIVE",
    ),
    Mutant(
        "a claim ignores that a queue is paused",
        _MEMORY,
        "InMemoryBackend.claim",
        "{name: self._shelves[name] for name in queues if not self._shelves[name].paused}",
        "{name: self._shelves[name] for name in queues}",
    ),
    Mutant(
        "a claim waits between its look and its writes",
        _MEMORY,
        "InMemoryBackend.claim",
        "jobs: list[Job] = []",
        "jobs: list[Job] = []\n"
        "waiting = [(it, job) for it in open_queues.values() for job in it.jobs.values() if job.state == 'waiting']\n"
        "await trio.lowlevel.checkpoint()\n"
        "for shelves, job in waiting:\n"
        "    shelves.put(job)",
    ),
    Mutant(
        "a job on its last life goes to a busy worker",
        _MEMORY,
        "InMemoryBackend.claim",
        "last_life and idle and limit",
        "last_life and limit",
    ),
    Mutant("an ended job keeps its unique key", _MEMORY, "_Shelves._keep_key", "self.keys.get(key) == job.id", "False"),
    Mutant(
        "a composite change is stored in part",
        _MEMORY,
        "InMemoryBackend._settle_whole",
        "draft.put(draft.jobs[part.id].after(part))",
        "draft.put(draft.jobs[part.id].after(part))\nself._apply(part)",
    ),
)
