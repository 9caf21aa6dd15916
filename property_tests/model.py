"""What should become of one job: section 2 of the design in plain words.

Written without looking at the table, in another style on purpose, and importing nothing of trioq: where the two
disagree, one of them is wrong.  Every method is a command; it either moves the job and answers the event that
tells of it, or raises `Refused` and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ENDED = ("completed", "failed", "expired", "cancelled")


class Refused(Exception):
    """The job's state, or the hour, doesn't allow it."""


@dataclass
class Model:
    """One job as the design describes it.  The fields have the names that the record gives them."""

    max_retries: int
    max_crashes: int
    ttl: float | None

    state: str
    created_at: float
    run_at: float
    expires_at: float | None
    started_at: float | None = None
    finished_at: float | None = None
    run: int = 0
    failures: int = 0
    crashes: int = 0
    snoozes: int = 0
    version: int = 0
    worker: str | None = None
    lease_until: float | None = None
    progress: Any = None
    result: bytes | None = None
    cancel_reason: str | None = None
    #: Words that the error must contain; none where there is no error.
    error: list[str] = field(default_factory=list)

    @classmethod
    def enqueued(
        cls, now: float, delay: float | None, run_at: float, ttl: float | None, max_retries: int, max_crashes: int
    ) -> Model:
        """A job that the store has just taken in: ready at once, unless it was asked to be later."""
        ready_at = run_at if delay is None else now + delay
        if ready_at < now:
            ready_at = now
        return cls(
            max_retries=max_retries,
            max_crashes=max_crashes,
            ttl=ttl,
            state="delayed" if ready_at > now else "waiting",
            created_at=now,
            run_at=ready_at,
            expires_at=None if ttl is None else now + ttl,
        )

    # -- a worker takes it --

    def claim(self, now: float, worker: str, lease_until: float) -> str:
        """A ready job may be taken at any time, a delayed one once it is due.  That begins a run."""
        if self.state == "delayed":
            self._only_if(now >= self.run_at)
        else:
            self._only_if(self.state == "waiting")
        self.state = "active"
        self.worker = worker
        self.lease_until = lease_until
        self.started_at = now
        self.run += 1
        return self._changed("job:started")

    def renewed(self, lease_until: float, progress: Any) -> None:
        """A heartbeat: the lease is longer and the progress is saved.  It is no step, so the version stays."""
        self._only_if(self.state == "active")
        self.lease_until = lease_until
        if progress is not None:
            self.progress = progress

    # -- its run ends --

    def complete(self, now: float, result: bytes | None) -> str:
        """The handler returned.  Earlier failures are forgiven."""
        self._only_if(self.state == "active")
        self.result = result
        self.error = []
        return self._ended("completed", now)

    def fail(self, now: float, error: str, delay: float) -> str:
        """Another try later, while there are retries left; else it is dead."""
        self._only_if(self.state == "active")
        self.failures += 1
        self.error = [error]
        if self.failures == self.max_retries + 1:
            return self._ended("failed", now)
        self._put_off(now + delay)
        return self._changed("job:retrying")

    def reject(self, now: float, error: str) -> str:
        """Dead at once, whatever retries are left."""
        self._only_if(self.state == "active")
        self.failures += 1
        self.error = [error]
        return self._ended("failed", now)

    def snooze(self, now: float, delay: float) -> str:
        """Later, on the handler's own wish: that is not a failure."""
        self._only_if(self.state == "active")
        self.snoozes += 1
        self._put_off(now + delay)
        return self._changed("job:snoozed")

    def release(self, now: float) -> str:
        """Back to where it came from, as if it had not been taken."""
        self._only_if(self.state == "active")
        self.lease_until = None
        self.state = "waiting" if self.run_at <= now else "delayed"
        return self._changed("job:released")

    def reclaim(self, now: float) -> str:
        """Its worker is taken for dead once the lease ran out: another life, or none left."""
        self._only_if(self.state == "active")
        self._only_if(self.lease_until is not None and now >= self.lease_until)
        self.crashes += 1
        if self.crashes == self.max_crashes:
            self.error = ["lease", str(self.worker), f"run {self.run}"]
            return self._ended("failed", now)
        self.lease_until = None
        self.state = "waiting"
        return self._changed("job:stalled")

    # -- a client or the clock ends it, or a client begins it anew --

    def expire(self, now: float) -> str:
        """From the instant ``expires_at`` on it may not start any more."""
        self._only_if(self.state in ("waiting", "delayed", "active"))
        self._only_if(self.expires_at is not None and not now < self.expires_at)
        return self._ended("expired", now)

    def cancel(self, now: float, reason: str) -> str:
        """Whatever has not ended can be cancelled."""
        self._only_if(self.state not in ENDED)
        self.cancel_reason = reason
        return self._ended("cancelled", now)

    def requeue(self, now: float) -> str:
        """An ended job starts over: no failures, no crashes, a TTL from now on.  Runs and snoozes stay counted."""
        self._only_if(self.state in ENDED)
        self.state = "waiting"
        self.failures = self.crashes = 0
        self.run_at = now
        self.expires_at = None if self.ttl is None else now + self.ttl
        self.started_at = self.finished_at = None
        self.progress = self.result = self.cancel_reason = None
        self.error = []
        return self._changed("job:requeued")

    # -- what it must not start --

    def may_start(self, now: float) -> str:
        """What is to become of it before its handler begins; the first that applies."""
        if self.state == "cancelled":
            return "cancelled"
        if self.expires_at is not None and not now < self.expires_at:
            return "expired"
        return "run" if now >= self.run_at else "not due"

    # -- how --

    def _only_if(self, allowed: bool) -> None:
        if not allowed:
            raise Refused

    def _changed(self, event: str) -> str:
        self.version += 1
        return event

    def _ended(self, state: str, now: float) -> str:
        self.state = state
        self.finished_at = now
        self.lease_until = None
        return self._changed(f"job:{state}")

    def _put_off(self, until: float) -> None:
        self.state = "delayed"
        self.run_at = until
        self.lease_until = None
