"""The life of one job, whatever is tried on it and whenever, against a model written without the table.

This is the reference of the state machine.  Many jobs in a store are in ``test_backend_matches_model``.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from itertools import permutations
from typing import Any

import attrs
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from property_tests import strategies as sts
from property_tests.model import ENDED, Model, Refused
from trioq._core.job import Job, Shelf, State, broken_rules
from trioq._core.lifecycle import (
    TABLE,
    Admission,
    Cancel,
    Change,
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
    """Any command is tried on one job, at any time; the model says what it should do."""

    earlier = Bundle("earlier")  #: records as a client once read them

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0
        self.failed_runs = self.crashed_runs = 0  # since the last requeue

    @initialize(new=sts.new_jobs, now=sts.moments, seq=st.integers(1, 2**40), target=earlier)
    def a_producer_enqueues(self, new: Job, now: float, seq: int) -> Job:
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

    # -- any command --

    @rule(command=sts.commands, target=earlier)
    def any_command_is_tried(self, command: Command) -> Job:
        """A command is legal exactly where a model that does not know the table allows it; an illegal one raises
        ``IllegalStep``, which holds the job and the command, and changes nothing.
        """
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
            renewed = {"lease_until": self.now + lease} | ({} if progress is None else {"progress": progress})
            self.job = self.job.having(renewed)

    def take(self, worker: str, lease: float, early: bool) -> None:
        """Send it round again if it has ended, then claim it unless a worker has: once due, or a tick too early."""
        if self.job.state.final:
            self.attempt(Requeue())
        if self.job.state is not State.ACTIVE:
            self.now = max(self.now, self.job.run_at - sts.TICK * early)
            self.attempt(Claim(worker, self.now + lease))

    def attempt(self, command: Command) -> None:
        """The step and the model agree: on whether it may be, on its result, on the event that tells of it."""
        before, expected = self.job, copy(self.model)
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
            assert change.event.name == told
            self.count(name)

    def count(self, name: str) -> None:
        self.changes += 1
        self.failed_runs += name in ("Fail", "Reject")
        self.crashed_runs += name == "Reclaim"
        if name == "Requeue":
            self.failed_runs = self.crashed_runs = 0

    # -- what a stale holder has in hand --

    @rule(read=earlier, command=sts.commands)
    def a_stale_holder_can_be_told_by_its_version(self, read: Job, command: Command) -> None:
        """A change made from an old record can be told by its version; if only renewals came between, which leave the
        version, a Reclaim can be told by the lease that it saw.
        """
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
        """After every step each field is what the model says: state, times, counters, owner, result, error; and so is
        the answer to whether the handler may begin.
        """
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
        """After every step the record keeps the rules of ``broken_rules``: a lease exactly while it is active,
        ``finished_at`` exactly once it is final, and so on.
        """
        assert broken_rules(self.job) == []

    @invariant()
    def what_was_asked_for_stays(self) -> None:
        """No step changes what was asked for at enqueue: identity, payload, priority, TTL, timeout, limits, backoff,
        unique key and metadata.
        """
        assert all(getattr(self.job, name) == getattr(self.inserted, name) for name in _FIXED)

    @invariant()
    def every_change_counts_as_a_version_and_nothing_else_does(self) -> None:
        """Every change adds one to the version, and nothing else does: a renewal leaves it."""
        assert self.job.version == self.changes

    @invariant()
    def it_fails_no_more_often_than_its_retries_allow(self) -> None:
        """Between two requeues a job fails ``max_retries + 1`` times at most; until the last of these it is not final,
        and its attempt is one more than its failures.
        """
        assert self.failed_runs <= self.job.max_retries + 1
        if not self.job.state.final:
            assert self.failed_runs <= self.job.max_retries
            assert self.job.attempt == self.failed_runs + 1

    @invariant()
    def it_crashes_no_more_often_than_its_crash_limit_allows(self) -> None:
        """Between two requeues a job loses its lease ``max_crashes`` times at most; it is on its last life once one
        more would end it.
        """
        assert self.crashed_runs <= self.job.max_crashes
        if not self.job.state.final:
            assert self.crashed_runs < self.job.max_crashes
            assert self.job.last_life == (self.crashed_runs + 1 == self.job.max_crashes)


TestOneJob = OneJob.TestCase
TestOneJob.settings = settings(max_examples=settings().max_examples)  # a life has many turns


# --- the same in single sentences ---------------------------------------------------------------


@given(job=sts.jobs(), command=sts.commands, later=sts.durations())
def test_a_step_leads_where_the_table_says_or_is_illegal(job: Job, command: Command, later: float) -> None:
    """A step leads from a state that the table lists for its command to one that it lists, or is illegal."""
    row = TABLE[type(command)]
    try:
        change = step(job, command, job.run_at + later)
    except IllegalStep:
        assert job.state not in row.sources or row.when is not None
    else:
        assert job.state in row.sources
        assert job.after(change).state is change.state
        assert change.state in row.targets


@given(job=sts.jobs(), state=st.sampled_from([state for state in State if state not in ENDED]), now=sts.moments)
def test_whatever_has_not_ended_can_be_cancelled(job: Job, state: State, now: float) -> None:
    """A job can be cancelled in every state but the final ones, also while it is parked."""
    job = job.having({"state": state})
    assert job.after(step(job, Cancel("enough"), now)).state == "cancelled"


@given(job=sts.jobs(), command=sts.commands, now=sts.moments)
def test_a_change_names_the_record_that_it_was_made_from(job: Job, command: Command, now: float) -> None:
    """A change names the record that it was made from by queue, id, seq and version; a Reclaim, and no other, names its
    lease as well.
    """
    try:
        change = step(job, command, now)
    except IllegalStep:
        return
    assert (change.queue, change.id, change.seq, change.version) == (job.queue, job.id, job.seq, job.version)
    assert change.lease_until == (job.lease_until if isinstance(command, Reclaim) else None)


@given(job=sts.jobs(), command=sts.commands, now=sts.moments)
def test_a_change_carries_what_it_changes_and_touches_nothing(job: Job, command: Command, now: float) -> None:
    """A change holds the fields that change, never the payload, and leaves the old record as it was; ``advance``
    answers the same record as ``step`` and ``after``.
    """
    before = dict(vars(job))
    try:
        change = step(job, command, now)
    except IllegalStep:
        return
    after = job.after(change)
    assert "payload" not in change.fields
    assert after == job.having(change.fields)
    assert after == advance(job, command, now)
    assert vars(job) == before


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


@given(job=sts.held_jobs | sts.jobs(), commands=sts.one_of_each_command, late=sts.durations())
def test_no_step_is_mistaken_for_another(job: Job, commands: tuple[Command, ...], late: float) -> None:
    """The record that one step leaves never has all the fields of a step of another event from the same record.

    So a store that finds a change there already knows that it was this one, and not what another client did meanwhile.
    """
    now = max(job.run_at, job.lease_until or 0.0) + late
    for sent, stored in permutations(_legal(job, commands, now), 2):
        if sent.event is not stored.event:
            left = job.after(stored)
            assert any(getattr(left, name) != value for name, value in sent.fields.items()), (sent, stored)


def _legal(job: Job, commands: tuple[Command, ...], now: float) -> Iterator[Change]:
    for command in commands:
        try:
            yield step(job, command, now)
        except IllegalStep:
            continue


@given(job=sts.jobs(), command=sts.commands, now=sts.moments)
def test_a_run_is_never_uncounted(job: Job, command: Command, now: float) -> None:
    """Each claim adds one to the run, and no other step changes it, not even a requeue: it fences a stale owner for
    ever.
    """
    try:
        after = job.after(step(job, command, now))
    except IllegalStep:
        return
    assert after.run - job.run == isinstance(command, Claim)


@given(job=sts.jobs().filter(lambda job: job.state.shelf in (Shelf.READY, Shelf.TIMED, Shelf.HELD)), data=st.data())
def test_a_job_expires_exactly_from_expires_at_on(job: Job, data: st.DataObject) -> None:
    """A job that has not ended can expire from ``expires_at`` on and not a tick before; without a TTL it never can."""
    if job.expires_at is None:
        with pytest.raises(IllegalStep):
            step(job, Expire(), data.draw(sts.moments))
    else:
        late = data.draw(sts.durations())
        assert job.after(step(job, Expire(), job.expires_at + late)).state is State.EXPIRED
        with pytest.raises(IllegalStep):
            step(job, Expire(), job.expires_at - sts.TICK - late)


@given(job=sts.held_jobs, late=sts.durations())
def test_a_lease_can_be_reclaimed_exactly_from_its_end_on(job: Job, late: float) -> None:
    """A job can be taken back from ``lease_until`` on, and not a tick before."""
    assert job.lease_until is not None
    assert job.after(step(job, Reclaim(), job.lease_until + late)).crashes == job.crashes + 1
    with pytest.raises(IllegalStep):
        step(job, Reclaim(), job.lease_until - sts.TICK - late)


@given(new=sts.new_jobs, seq=st.integers(1, 2**40), now=sts.moments)
def test_a_stamped_job_is_sound_and_waits_unless_it_is_for_later(new: Job, seq: int, now: float) -> None:
    """A new job gets its seq, ``created_at``, ``run_at``, ``expires_at`` and state when it is inserted, and nothing
    else of it changes: it waits, or is delayed where ``run_at`` is ahead.
    """
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
    """Before a handler runs, the first of these that applies decides: the job is cancelled, or expired, or not yet due,
    or it runs.
    """
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


@given(held=sts.held_jobs, outcome=sts.outcomes, roll=sts.rolls)
def test_every_outcome_has_its_command(held: Job, outcome: Outcome, roll: float) -> None:
    """However a run ended there is just one command for it, or none where another client has written already; it
    carries what the outcome holds, and is legal.
    """
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
    """After a failure a job waits what its backoff says for one failure more than it had."""
    command = command_for(outcome, job, roll)
    if isinstance(command, Fail) and getattr(outcome, "after", None) is None:
        assert command.delay == next_retry_delay(job, roll) == job.backoff.delay(job.failures + 1, roll)


@given(job=sts.jobs(), after=sts.durations(10.0), roll=sts.rolls)
def test_a_retry_that_named_its_wait_gets_it(job: Job, after: float, roll: float) -> None:
    """A handler that asks for a retry after some time gets just that, be it none, whatever the backoff says, and an
    attempt is spent.
    """
    assert command_for(RetryAsked("again", after), job, roll) == Fail("again", after)
    assert command_for(RetryAsked("again", 0.0), job, roll) == Fail("again", 0.0)


@given(job=sts.jobs().filter(lambda job: job.state is State.WAITING), now=sts.moments)
def test_a_released_job_is_as_if_it_had_not_been_taken(job: Job, now: float) -> None:
    """A job that is claimed and released has spent no attempt, crash or snooze, and is ready, or delayed while its
    ``run_at`` is ahead.
    """
    held = job.after(step(job, Claim("ada-1", now), now))
    back = held.after(step(held, Release(), now))
    counters = ("failures", "crashes", "snoozes", "run_at", "expires_at", "error", "finished_at", "lease_until")
    assert all(getattr(back, name) == getattr(job, name) for name in counters)
    assert back.state is (State.DELAYED if now < job.run_at else State.WAITING)
