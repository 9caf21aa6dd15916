"""The life of one job, whatever is tried on it and whenever, against a model written without the table.

This is the reference of the state machine.  Many jobs in a store are in ``test_backend_matches_model``.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import attrs
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from property_tests import strategies as sts
from property_tests.model import ENDED, Model, Refused
from trioq._core import wire
from trioq._core.job import Job, Shelf, State, broken_rules
from trioq._core.lifecycle import (
    TABLE,
    Admission,
    Claim,
    Command,
    Expire,
    Fail,
    IllegalStep,
    Reclaim,
    Release,
    Requeue,
    admit,
    advance,
    command_for,
    next_retry_delay,
    stamp,
    step,
)
from trioq._core.outcome import Outcome, RetryAsked

#: Nothing that happens to a job changes these: what was asked for at enqueue, and who it is.
_FIXED = (
    "id queue task payload seq priority delay ttl timeout max_retries max_crashes backoff unique_key metadata "
    "created_at key parent extra unreadable"
).split()


#: By whom, for how long, and whether a tick too early.
claims = st.tuples(sts.workers, sts.durations(60.0), st.sampled_from([False, False, True]))


class OneJob(RuleBasedStateMachine):
    """Anybody tries anything on one job, at any time; the model says what should have come of it."""

    earlier = Bundle("earlier")  #: records as somebody once read them

    def __init__(self) -> None:
        super().__init__()
        self.changes = self.claims = 0
        self.failed_runs = self.crashed_runs = 0  # since the last requeue

    @initialize(new=sts.new_jobs, now=sts.moments, seq=st.integers(1, 2**40), target=earlier)
    def somebody_enqueues(self, new: Job, now: float, seq: int) -> Job:
        self.now = now
        self.inserted = self.job = stamp(new, seq, now)
        self.model = Model.enqueued(now, new.delay, new.run_at, new.ttl, new.max_retries, new.max_crashes)
        return self.job

    # -- time --

    @rule(by=sts.durations(100.0))
    def time_passes(self, by: float) -> None:
        self.now += by

    @rule(which=st.sampled_from(["run_at", "lease_until", "expires_at"]), early=st.booleans())
    def a_deadline_comes(self, which: str, early: bool) -> None:
        deadline = getattr(self.job, which)
        if deadline is not None:
            self.now = max(self.now, deadline - sts.TICK * early)

    @rule(by=sts.durations(2.0))
    def the_clock_is_set_back(self, by: float) -> None:
        self.now -= by

    # -- anybody tries anything --

    @rule(command=sts.commands, target=earlier)
    def somebody_tries(self, command: Command) -> Job:
        self.attempt(command)
        return self.job

    # -- what usually happens, so that lives get long --

    @rule(claim=claims, outcome=sts.outcomes, roll=sts.rolls, target=earlier)
    def a_worker_runs_it(self, claim: tuple[str, float, bool], outcome: Outcome, roll: float) -> Job:
        self.take(*claim)
        command = command_for(outcome, self.job, roll)
        if command is not None:
            self.attempt(command)
        return self.job

    @rule(claim=claims, target=earlier)
    def a_worker_dies_with_it(self, claim: tuple[str, float, bool]) -> Job:
        self.take(*claim)
        self.now = max(self.now, self.job.lease_until or self.now)
        self.attempt(Reclaim())
        return self.job

    @rule(claim=claims, lease=sts.durations(60.0), progress=st.none() | sts.json_values)
    def its_worker_renews_the_lease(self, claim: tuple[str, float, bool], lease: float, progress: Any) -> None:
        self.take(*claim)
        if self.job.state is State.ACTIVE:
            self.model.renewed(self.now + lease, progress)
            news = {"lease_until": self.now + lease} | ({} if progress is None else {"progress": progress})
            self.job = self.job.having(news)

    def take(self, worker: str, lease: float, early: bool) -> None:
        """Send it round again if it has ended, then claim it unless somebody has: once due, or a tick too early."""
        if self.job.state.final:
            self.attempt(Requeue())
        if self.job.state is not State.ACTIVE:
            self.now = max(self.now, self.job.run_at - sts.TICK * early)
            self.attempt(Claim(worker, self.now + lease))

    def attempt(self, command: Command) -> None:
        """The step and the model agree: on whether it may be, on what comes of it, on the event that tells of it."""
        before, expected = self.job, copy(self.model)
        kept = dict(vars(before))
        name = type(command).__name__
        try:
            told = getattr(expected, name.lower())(self.now, **attrs.asdict(command))
        except Refused:
            event(f"{name} refused")
            for way in (step, advance):
                with pytest.raises(IllegalStep) as caught:
                    way(before, command, self.now)
                assert (caught.value.job, caught.value.command) == (before, command)
        else:
            event(f"{name}: {before.state} to {expected.state}")
            change = step(before, command, self.now)
            self.model, self.job = expected, before.after(change)
            assert advance(before, command, self.now) == self.job
            assert change.event.name == told
            assert change.state is self.job.state
            assert (change.queue, change.id, change.seq) == (before.queue, before.id, before.seq)
            assert change.version == before.version == self.job.version - 1
            assert change.lease_until == (before.lease_until if isinstance(command, Reclaim) else None)
            assert "payload" not in change.fields
            self.count(name)
        assert vars(before) == kept

    def count(self, name: str) -> None:
        self.changes += 1
        self.claims += name == "Claim"
        self.failed_runs += name in ("Fail", "Reject")
        self.crashed_runs += name == "Reclaim"
        if name == "Requeue":
            self.failed_runs = self.crashed_runs = 0

    # -- what a stale holder has in hand --

    @rule(read=earlier, command=sts.commands)
    def a_stale_holder_can_be_told_by_its_version(self, read: Job, command: Command) -> None:
        try:
            change = step(read, command, self.now)
        except IllegalStep:
            return
        if change.version == self.job.version:
            # Only heartbeats came between.  They leave the version, so a Reclaim names the lease that it saw as well.
            assert self.job == read.having({"lease_until": self.job.lease_until, "progress": self.job.progress})
            assert change.lease_until == (read.lease_until if isinstance(command, Reclaim) else None)

    # -- what holds after every step --

    @invariant()
    def it_is_what_the_model_says(self) -> None:
        expected, found = vars(self.model).copy(), vars(self.job)
        words = expected.pop("error")
        assert {name: found[name] for name in expected} == expected
        if words:
            assert all(word in (self.job.error or "") for word in words)
        else:
            assert self.job.error is None
        assert admit(self.job, self.now) == self.model.may_start(self.now)

    @invariant()
    def it_breaks_no_rule(self) -> None:
        assert broken_rules(self.job) == []

    @invariant()
    def what_was_asked_for_stays(self) -> None:
        assert all(getattr(self.job, name) == getattr(self.inserted, name) for name in _FIXED)

    @invariant()
    def every_change_and_no_other_counts_as_a_version_and_every_claim_as_a_run(self) -> None:
        assert (self.job.version, self.job.run) == (self.changes, self.claims)

    @invariant()
    def it_runs_no_more_often_than_its_limits_allow(self) -> None:
        assert self.failed_runs <= self.job.max_retries + 1
        assert self.crashed_runs <= self.job.max_crashes
        if not self.job.state.final:
            assert self.failed_runs <= self.job.max_retries
            assert self.crashed_runs < self.job.max_crashes
            assert self.job.attempt == self.failed_runs + 1
            assert self.job.last_life == (self.crashed_runs + 1 == self.job.max_crashes)

    @invariant()
    def it_survives_the_wire(self) -> None:
        assert wire.decode(wire.encode(self.job)) == self.job

    @invariant()
    def an_event_can_tell_of_it(self) -> None:
        for rule_of in TABLE.values():
            for kind in rule_of.targets.values():
                told = kind.of(self.job, self.now)
                assert (told.queue, told.job, told.run) == (self.job.queue, self.job, self.job.run)


TestOneJob = OneJob.TestCase
TestOneJob.settings = settings(max_examples=max(200, settings().max_examples))  # a life has many turns


# --- the same in single sentences ---------------------------------------------------------------


@given(job=sts.jobs(), command=sts.commands, later=sts.durations())
def test_a_step_changes_something_or_is_illegal(job: Job, command: Command, later: float) -> None:
    """A command moves the job to a state that the table names, with one more version, or it is illegal."""
    row = TABLE[type(command)]
    try:
        change = step(job, command, job.run_at + later)
    except IllegalStep:
        assert job.state not in row.sources or row.when is not None
    else:
        assert job.state in row.sources
        assert row.targets[change.state] is change.event
        assert job.after(change).version == job.version + 1


@given(job=sts.jobs(), command=sts.commands, now=sts.moments)
def test_the_end_is_the_end_but_for_a_requeue(job: Job, command: Command, now: float) -> None:
    """No command but Requeue leaves a final state, and Requeue leaves no other."""
    if job.state in ENDED or isinstance(command, Requeue):
        legal = job.state in ENDED and isinstance(command, Requeue)
        if legal:
            assert job.after(step(job, command, now)).state is State.WAITING
        else:
            with pytest.raises(IllegalStep):
                step(job, command, now)


@given(job=sts.jobs(), command=sts.commands, now=sts.moments)
def test_a_run_is_never_uncounted(job: Job, command: Command, now: float) -> None:
    """`run` grows by one at a claim and stays at any other step: it fences a stale owner for ever."""
    try:
        after = job.after(step(job, command, now))
    except IllegalStep:
        return
    assert after.run - job.run == isinstance(command, Claim)


@given(job=sts.jobs().filter(lambda job: job.state.shelf in (Shelf.READY, Shelf.TIMED, Shelf.HELD)), data=st.data())
def test_a_job_expires_exactly_from_expires_at_on(job: Job, data: st.DataObject) -> None:
    """Expire is legal when now >= expires_at, illegal before, and always illegal without a TTL."""
    if job.expires_at is None:
        with pytest.raises(IllegalStep):
            step(job, Expire(), data.draw(sts.moments))
    else:
        late = data.draw(sts.durations())
        assert job.after(step(job, Expire(), job.expires_at + late)).state is State.EXPIRED
        with pytest.raises(IllegalStep):
            step(job, Expire(), job.expires_at - sts.TICK - late)


@given(new=sts.new_jobs, seq=st.integers(1, 2**40), now=sts.moments)
def test_a_stamped_job_is_sound_and_waits_unless_it_is_for_later(new: Job, seq: int, now: float) -> None:
    """Insert fills in seq, created_at, run_at, expires_at and the state, and nothing else; no rule is broken."""
    job = stamp(new, seq, now)
    assert broken_rules(job) == []
    assert (job.seq, job.created_at) == (seq, now)
    assert job.run_at == max(now, new.run_at if new.delay is None else now + new.delay)
    assert job.state is (State.DELAYED if job.run_at > now else State.WAITING)
    assert job.expires_at == (None if new.ttl is None else now + new.ttl)
    stamped = ("seq", "created_at", "run_at", "expires_at", "state")
    assert job.having({name: getattr(new, name) for name in stamped}) == new


@given(job=sts.jobs(), now=sts.moments)
def test_admit_is_the_first_that_applies(job: Job, now: float) -> None:
    """Before a handler runs: cancelled, else expired, else not yet due, else run."""
    expired = job.expires_at is not None and now >= job.expires_at
    match admit(job, now):
        case Admission.CANCELLED:
            assert job.state is State.CANCELLED
        case Admission.EXPIRED:
            assert expired
            assert job.state is not State.CANCELLED
        case Admission.NOT_DUE:
            assert now < job.run_at
            assert not expired
        case Admission.RUN:
            assert now >= job.run_at
            assert not expired
            assert job.state is not State.CANCELLED


@given(job=sts.jobs(), outcome=sts.outcomes, roll=sts.rolls)
def test_every_outcome_has_its_command(job: Job, outcome: Outcome, roll: float) -> None:
    """However a run ended there is one command, or none because somebody else has written; it is always legal then."""
    held = job.having({"state": State.ACTIVE, "worker": "ada-1", "lease_until": job.run_at, "finished_at": None})
    command = command_for(outcome, held, roll)
    expected = {
        "Returned": "Complete",
        "Raised": "Fail",
        "TimedOut": "Fail",
        "UnknownTask": "Fail",
        "RetryAsked": "Fail",
        "Rejected": "Reject",
        "BadPayload": "Reject",
        "Snoozed": "Snooze",
        "Interrupted": "Release",
        "Expired": "Expire",
        "CancelledByUser": None,
        "LeaseLost": None,
    }[type(outcome).__name__]
    assert (None if command is None else type(command).__name__) == expected
    if command is not None:
        now = max(held.run_at, held.expires_at or 0.0)
        try:
            assert step(held, command, now).state in TABLE[type(command)].targets
        except IllegalStep:
            assert isinstance(command, Expire)
            assert held.expires_at is None
        carried = {**attrs.asdict(command)}
        for name, value in attrs.asdict(outcome).items():
            assert name == "after" or carried[name] == value


@given(job=sts.jobs(), outcome=sts.outcomes, roll=sts.rolls)
def test_a_failed_run_waits_by_its_backoff(job: Job, outcome: Outcome, roll: float) -> None:
    """Fail waits what the backoff says for one failure more than there were, and so says `next_retry_delay`."""
    command = command_for(outcome, job, roll)
    if isinstance(command, Fail) and getattr(outcome, "after", None) is None:
        assert command.delay == next_retry_delay(job, roll) == job.backoff.delay(job.failures + 1, roll)


@given(job=sts.jobs(), after=sts.durations(10.0), roll=sts.rolls)
def test_a_retry_that_named_its_wait_gets_it(job: Job, after: float, roll: float) -> None:
    """``Retry(after=)`` waits just that, be it nothing, whatever the backoff says, and spends an attempt."""
    assert command_for(RetryAsked("again", after), job, roll) == Fail("again", after)
    assert command_for(RetryAsked("again", 0.0), job, roll) == Fail("again", 0.0)


@given(job=sts.jobs().filter(lambda job: job.state is State.WAITING), now=sts.moments)
def test_a_released_job_is_as_if_it_had_not_been_taken(job: Job, now: float) -> None:
    """Claim, then Release: no attempt, crash or snooze is spent, and it is ready or timed as its run_at says."""
    held = job.after(step(job, Claim("ada-1", now), now))
    back = held.after(step(held, Release(), now))
    counters = ("failures", "crashes", "snoozes", "run_at", "expires_at", "error", "finished_at", "lease_until")
    assert all(getattr(back, name) == getattr(job, name) for name in counters)
    assert back.state is (State.DELAYED if now < job.run_at else State.WAITING)
