"""What group commit must know of inserts and settles: whose part of an answer is whose, and how large an item is."""

from __future__ import annotations

import attrs

from .._core.job import Job
from .._core.lifecycle import Change
from ._base import Inserted, Settled


def part_of_inserted(whole: Inserted, part: slice) -> Inserted:
    """One caller's share."""
    return attrs.evolve(whole, jobs=whole.jobs[part], created=whole.created[part])


def part_of_settled(whole: Settled, part: slice) -> Settled:
    """One caller's share."""
    return attrs.evolve(whole, verdicts=whole.verdicts[part])


def size_of_job(job: Job) -> int:
    """About how many bytes it is."""
    return len(job.payload)


def size_of_change(change: Change) -> int:
    """About how many bytes it is."""
    result = change.fields.get("result")
    inserts = sum(map(size_of_job, change.inserts))
    return inserts + (len(result) if isinstance(result, bytes) else 0) + sum(map(size_of_change, change.also))
