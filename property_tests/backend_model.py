"""What a store should hold, and answer: section 3 of the design in plain words.

Written without looking at any backend, and importing nothing of trioq: records are dicts in a list, and every
question is answered by going through all of them.  How a job steps from state to state is in ``model``; a store only
compares and stores the steps of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

Record = dict[str, Any]

ENDED = {"completed", "cancelled"}
DEAD = {"failed", "expired"}


class BackendModel:
    """A store.  Each verb takes the store's time, and answers what the backend should have answered."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.paused: set[str] = set()
        self.presences: dict[str, tuple[Any, float]] = {}

    # -- what is there --

    def find(self, queue: str, id: str) -> Record | None:
        """The record of that name."""
        return next((record for record in self.records if (record["queue"], record["id"]) == (queue, id)), None)

    def all_of(self, queue: str) -> list[Record]:
        """The records of a queue, the first inserted first."""
        return sorted((record for record in self.records if record["queue"] == queue), key=lambda it: it["seq"])

    def count(self, queue: str, state: str) -> int:
        """How many jobs are in that state."""
        return len([record for record in self.all_of(queue) if record["state"] == state])

    def queues(self) -> list[str]:
        """Those with a record, and the paused ones."""
        return sorted({record["queue"] for record in self.records} | self.paused)

    def overdue(self, now: float) -> list[Record]:
        """Leases that ran out, and jobs that no worker has claimed in time."""
        return [
            record
            for record in self.records
            if (record["state"] == "active" and record["lease_until"] <= now)
            or (
                record["state"] in ("waiting", "delayed")
                and record["expires_at"] is not None
                and record["expires_at"] <= now
            )
        ]

    # -- insert --

    def insert(self, job: Record, seq: int | None, now: float) -> tuple[Record, bool]:
        """The stored record, and whether it is new.  A new one has got *seq* from the store."""
        known = self.find(job["queue"], job["id"]) or self._holder(job)
        if known is not None:
            return known, False
        run_at = max(now, job["run_at"]) if job["delay"] is None else now + job["delay"]
        record = job | {
            "seq": seq,
            "created_at": now,
            "run_at": run_at,
            "expires_at": now + job["ttl"] if job["ttl"] is not None else None,
            "state": "waiting" if run_at <= now else "delayed",
        }
        self.records.append(record)
        return record, True

    def _holder(self, job: Record) -> Record | None:
        """The live job of the same queue that has the unique key of *job*, and is another one."""
        for record in self.records:
            same_key = job["unique_key"] is not None and record["unique_key"] == job["unique_key"]
            live = record["state"] not in ENDED | DEAD
            if same_key and live and record["queue"] == job["queue"] and record["id"] != job["id"]:
                return record
        return None

    # -- claim --

    def claim(self, queues: list[str], limit: int, worker: str, lease: float, idle: bool, now: float) -> list[Record]:
        """The jobs that are handed out, in order."""
        ready = [record for queue in self._open(queues) for record in self._ready(queue, now)]
        last_lives = [record for record in ready if self._on_last_life(record)]
        chosen = (
            last_lives[:1] if idle and last_lives else [record for record in ready if not self._on_last_life(record)]
        )
        for record in chosen[:limit]:
            record["state"] = "active"
            record["run"] += 1
            record["version"] += 1
            record["worker"] = worker
            record["lease_until"] = now + lease
            record["started_at"] = now
        return chosen[:limit]

    def next_due(self, queues: list[str], now: float) -> float | None:
        """When the next timed job of these queues comes due."""
        later = [
            record["run_at"]
            for queue in self._open(queues)
            for record in self.all_of(queue)
            if record["state"] == "delayed" and record["run_at"] > now
        ]
        return min(later) if later else None

    def last_life_waits(self, queues: list[str], now: float) -> bool:
        """Whether a job waits that must be claimed alone."""
        return any(self._on_last_life(record) for queue in self._open(queues) for record in self._ready(queue, now))

    def _open(self, queues: list[str]) -> list[str]:
        return [queue for queue in dict.fromkeys(queues) if queue not in self.paused]

    def _ready(self, queue: str, now: float) -> list[Record]:
        ready = [
            record
            for record in self.all_of(queue)
            if record["state"] == "waiting" or (record["state"] == "delayed" and record["run_at"] <= now)
        ]
        return sorted(ready, key=lambda record: (record["priority"], record["run_at"], record["seq"]))

    def _on_last_life(self, record: Record) -> bool:
        return record["crashes"] + 1 >= record["max_crashes"]

    # -- settle --

    def settle(self, change: Any, seqs: dict[tuple[str, str], int], now: float) -> str:
        """The verdict on a change; *seqs* are those that its new jobs have got from the store."""
        if all(self.is_stored(part) for part in (change, *change.also)):
            return "stored"
        before = deepcopy(self.records)
        verdict = self._settle_all(change, seqs, now)
        if verdict != "stored":
            self.records = before
        return verdict

    def is_stored(self, change: Any) -> bool:
        """Whether the record is just what the change would make of it."""
        record = self.find(change.queue, change.id)
        return (
            record is not None
            and record["seq"] == change.seq
            and record["version"] == change.version + 1
            and record == record | dict(change.fields)
        )

    def _settle_all(self, change: Any, seqs: dict[tuple[str, str], int], now: float) -> str:
        for part in (change, *change.also):
            record = self.find(part.queue, part.id)
            if record is None or (record["seq"], record["version"]) != (part.seq, part.version):
                return "stale"
            if part.lease_until is not None and record["lease_until"] != part.lease_until:
                return "stale"
            if part.fields["state"] not in ENDED | DEAD and self._holder(record):
                return "key taken"
            record.update(part.fields)
        for job in change.inserts:
            if self.find(job.queue, job.id):
                return "stale"
            _, created = self.insert(dict(job.__dict__), seqs.get((job.queue, job.id)), now)
            if not created:
                return "key taken"
        return "stored"

    # -- leases --

    def renew(self, presence: Any, leases: list[Any], now: float) -> dict[Any, str]:
        """The leases that are lost, and why."""
        self.presences[presence.worker] = (presence, now + presence.lease)
        lost = {}
        for lease in leases:
            record = self.find(lease.queue, lease.id)
            if record is None:
                lost[lease] = "gone"
            elif record["run"] != lease.run:
                lost[lease] = "reclaimed"
            elif record["state"] == "active":
                record["lease_until"] = now + presence.lease
                if lease.progress is not None:
                    record["progress"] = lease.progress
            else:
                lost[lease] = "cancelled" if record["state"] == "cancelled" else "reclaimed"
        return lost

    def held_by(self, worker: str) -> set[tuple[str, str]]:
        """Whose lease is that worker's."""
        return {(it["queue"], it["id"]) for it in self.records if it["state"] == "active" and it["worker"] == worker}

    # -- tidying --

    def remove(self, queue: str, id: str) -> bool:
        """Whether the record may go; then it is gone."""
        record = self.find(queue, id)
        if record is None or record["state"] == "active":
            return False
        self.records.remove(record)
        return True

    def past_retention(self, queues: Sequence[str], limits: Any, now: float) -> list[Record]:
        """What ended too long ago in these queues, and what of the rest is one too many in its queue: the oldest."""
        past = []
        for queue in dict.fromkeys(queues):
            for states, keep, most in (
                (ENDED, limits.keep_completed, limits.keep_completed_max),
                (DEAD, limits.keep_dead, limits.keep_dead_max),
            ):
                ended = [record for record in self.all_of(queue) if record["state"] in states]
                ended.sort(key=lambda record: (record["finished_at"], record["seq"]))
                young = [record for record in ended if record["finished_at"] > now - keep]
                past += [record for record in ended if record not in young]
                past += young[: max(0, len(young) - most)]
        return past
