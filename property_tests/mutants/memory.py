"""Faults in the backend that keeps its jobs in memory."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_MEMORY: Final = "backends/memory.py"

MUTANTS: Final = (
    Mutant(
        "a settle ignores the version",
        _MEMORY,
        "    if job.seq != change.seq or job.version != change.version:\n        return False\n    return change",
        "    if job.seq != change.seq:\n        return False\n    return change",
    ),
    Mutant(
        "a reclaim ignores that the lease was renewed",
        _MEMORY,
        "return change.lease_until is None or job.lease_until == change.lease_until",
        "return True",
    ),
    Mutant(
        "a repeated write is called stale",
        _MEMORY,
        "        elif _is_stored(shelves.jobs.get(change.id), change):\n            return Verdict.STORED\n",
        "",
    ),
    Mutant(
        "any write of the last version is taken for a repeated one",
        _MEMORY,
        "    return all(job.__dict__[name] == value for name, value in change.fields.items())",
        "    return True",
    ),
    Mutant("a renewal ignores the run", _MEMORY, "elif job.run == lease.run and job.state", "elif job.state"),
    Mutant(
        "a renewal forgets to extend the lease",
        _MEMORY,
        'job.having({"lease_until": now + worker.lease, "progress": progress})',
        'job.having({"progress": progress})',
    ),
    Mutant(
        "a renewal without progress wipes the one before",
        _MEMORY,
        "progress = job.progress if lease.progress is None else lease.progress",
        "progress = lease.progress",
    ),
    Mutant(
        "a renewal counts as a version",
        _MEMORY,
        'job.having({"lease_until": now + worker.lease,',
        'job.having({"version": job.version + 1, "lease_until": now + worker.lease,',
    ),
    Mutant(
        "a cancelled job's lease is called reclaimed",
        _MEMORY,
        "lost[lease] = Loss.CANCELLED if cancelled else Loss.RECLAIMED",
        "lost[lease] = Loss.RECLAIMED",
    ),
    Mutant(
        "a renewal names the leases that were listed",
        _MEMORY,
        "for held in self._held[worker.worker] if held not in listed]",
        "for held in self._held[worker.worker]]",
    ),
    Mutant(
        "a settled job stays on its worker's list of leases",
        _MEMORY,
        "            self._held[before.worker].pop((job.queue, job.id), None)\n",
        "",
    ),
    Mutant(
        "a claim ignores a pause",
        _MEMORY,
        "open_queues = {name: self._shelves[name] for name in queues if not self._shelves[name].paused}",
        "open_queues = {name: self._shelves[name] for name in queues}",
    ),
    Mutant(
        "a claim finds a job where it stood before its last step",
        _MEMORY,
        "job if job is not None and job.version == entry[-1] and job.seq",
        "job if job is not None and job.seq",
    ),
    Mutant(
        "a claim finds a job where another of its id stood",
        _MEMORY,
        "job.version == entry[-1] and job.seq == entry[-3] else None",
        "job.version == entry[-1] else None",
    ),
    Mutant(
        "a claim takes one more than its limit",
        _MEMORY,
        "while heap and len(jobs) < limit",
        "while heap and len(jobs) <= limit",
    ),
    Mutant(
        "a claim is not atomic: it takes what it saw a moment ago",
        _MEMORY,
        "        jobs: list[Job] = []\n        if poisoned",
        "        jobs: list[Job] = []\n"
        "        waiting = [(it, job) for it in open_queues.values()"
        " for job in it.jobs.values() if job.state == 'waiting']\n"
        "        await trio.lowlevel.checkpoint()\n"
        "        for shelves, job in waiting:\n"
        "            shelves.put(job)\n"
        "        if poisoned",
    ),
    Mutant(
        "a claim goes by age and not by priority",
        _MEMORY,
        "entry = (job.priority, job.run_at,",
        "entry = (0, job.run_at,",
    ),
    Mutant(
        "a claim goes by seq and not by readiness",
        _MEMORY,
        "entry = (job.priority, job.run_at,",
        "entry = (job.priority, 0.0,",
    ),
    Mutant(
        "a poison pill is not isolated: it goes to a busy worker",
        _MEMORY,
        "if poisoned and idle and limit:",
        "if poisoned and limit:",
    ),
    Mutant("a waiting poison pill is not told of", _MEMORY, "last_life=bool(poisoned),", "last_life=False,"),
    Mutant(
        "due jobs are promoted a moment late",
        _MEMORY,
        "(job := self.first(self.timed)) is not None and job.run_at <= now:",
        "(job := self.first(self.timed)) is not None and job.run_at < now:",
    ),
    Mutant(
        "next_due is the latest and not the next",
        _MEMORY,
        "next_due=min((job.run_at for job in timed if job is not None), default=None),",
        "next_due=max((job.run_at for job in timed if job is not None), default=None),",
    ),
    Mutant(
        "an ended job keeps its unique key",
        _MEMORY,
        "        elif self.keys.get(key) == job.id:\n            del self.keys[key]\n\n\n",
        "\n\n",
    ),
    Mutant(
        "a requeue takes a key that another live job holds",
        _MEMORY,
        '    return Verdict.KEY_TAKEN if keys.get(job.unique_key, "") not in ("", job.id) else None',
        "    return None",
    ),
    Mutant(
        "the parts of a change are stored one by one",
        _MEMORY,
        "            draft.put(draft.jobs[part.id].after(part))\n",
        "            draft.put(draft.jobs[part.id].after(part))\n            self._apply(part)\n",
    ),
    Mutant(
        "only leases are overdue, and no TTL",
        _MEMORY,
        "            found += self._expired(shelves, now, limit)\n",
        "            pass\n",
    ),
    Mutant(
        "a lease is overdue a moment late",
        _MEMORY,
        "if job.lease_until is not None and job.lease_until <= now)",
        "if job.lease_until is not None and job.lease_until < now)",
    ),
    Mutant(
        "an active job can be removed",
        _MEMORY,
        "removed.append(job is not None and job.state is not State.ACTIVE)",
        "removed.append(job is not None)",
    ),
    Mutant(
        "prune leaves one too many",
        _MEMORY,
        "        elif line[0][0] <= oldest or too_many > 0:\n            too_many -= 1\n",
        "        elif line[0][0] <= oldest or too_many > 1:\n            too_many -= 1\n",
    ),
    Mutant(
        "a settled job rings no bell",
        _MEMORY,
        "        verdicts = [self._settle(change, now) for change in changes]\n        self._ring()\n",
        "        verdicts = [self._settle(change, now) for change in changes]\n",
    ),
)
