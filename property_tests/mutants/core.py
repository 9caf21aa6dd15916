"""Faults in the pure core that are about meaning; `generated` makes those about arithmetic."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_LIFECYCLE: Final = "_core/lifecycle.py"
_JOB: Final = "_core/job.py"
_RATE: Final = "_core/rate.py"
_WIRE: Final = "_core/wire.py"
_PAYLOAD: Final = "_core/payload.py"
_FIDELITY: Final = "_core/roundtrip.py"
_OUTCOME: Final = "_core/outcome.py"

MUTANTS: Final = (
    Mutant("a claim does not count its run", _LIFECYCLE, "_claim", "job.run + 1", "job.run"),
    Mutant("a step leaves the version as it was", _LIFECYCLE, "_moved", "job.version + 1", "job.version"),
    Mutant("a lease can be reclaimed before it ends", _LIFECYCLE, "TABLE", "_lease_ran_out", "None"),
    Mutant("an ended job can be cancelled", _LIFECYCLE, "TABLE", "_LIVE", "_LIVE | _FINAL"),
    Mutant(
        "a waiting job can be completed",
        _LIFECYCLE,
        "TABLE",
        "Rule(_ACTIVE, {State.COMPLETED: events.JobCompleted}, _complete)",
        "Rule(_ACTIVE | {State.WAITING}, {State.COMPLETED: events.JobCompleted}, _complete)",
    ),
    Mutant(
        "a reclaim does not name the lease that it read",
        _LIFECYCLE,
        "step",
        "job.lease_until if type(command) is Reclaim else None",
        "None",
    ),
    Mutant(
        "a job counts as on its last life one crash too late",
        _JOB,
        "Job.last_life",
        "self.max_crashes - 1",
        "self.max_crashes",
    ),
    Mutant(
        "a token of the rate returns after half its interval",
        _RATE,
        "Bucket.available",
        "self.interval",
        "self.interval / 2",
    ),
    Mutant(
        "tokens that a worker holds are handed out again",
        _RATE,
        "Bucket.available",
        "self.limit - self.held",
        "self.limit",
    ),
    Mutant(
        "a record loses the fields that a newer trioq wrote",
        _WIRE,
        "decode",
        "Job(**_take(_Record, record), extra=record)",
        "Job(**_take(_Record, record), extra={})",
    ),
    Mutant("a job loses the options that a newer trioq wrote", _WIRE, "pack", "{**job.extra, **packed}", "packed"),
    Mutant(
        "a number that JSON would change is accepted", _PAYLOAD, "Codec.check", "not lacks_numbers(value, back)", "True"
    ),
    Mutant(
        "1 and True count as the same value",
        _FIDELITY,
        "same",
        "type(left) is not type(right)",
        "left is None and right is not None",
    ),
    Mutant("an argument that JSON would change is accepted", _PAYLOAD, "Codec.check", "not kept", "False"),
    Mutant("a signal in a nested exception group is not found", _OUTCOME, "leaves_of", "leaves_of(inner)", "[inner]"),
)
