"""What the properties are about: jobs, commands, outcomes, backoffs, times.  Nothing here judges."""

from __future__ import annotations

import string
from typing import Any, Final, get_args

import attrs
from hypothesis import strategies as st

from trioq._core import wire
from trioq._core.backoff import Backoff, Exponential, Fixed, Linear, Steps
from trioq._core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Job, State
from trioq._core.lifecycle import TABLE, Command, IllegalStep, stamp, step
from trioq._core.outcome import Outcome

# --- times --------------------------------------------------------------------------------------

#: The finest time that the properties tell apart.  A power of two: sums of such times are exact, so that
#: "at the deadline" and "just before it" mean what they say.
TICK: Final = 1 / 64


def durations(longest: float = 1_000.0) -> st.SearchStrategy[float]:
    """Seconds, in whole ticks; small ones often."""
    return st.integers(0, 10).map(float) | st.integers(0, int(longest / TICK)).map(lambda ticks: ticks * TICK)


#: Store times: UTC epoch seconds.
moments = durations(1_000_000.0).map(lambda seconds: 1_700_000_000.0 + seconds)
rolls = st.floats(0, 1, exclude_max=True)

# --- plain values -------------------------------------------------------------------------------

names = st.text([chr(code) for code in range(0x20, 0x7F)], min_size=1, max_size=20)
workers = st.sampled_from(["ada-1", "bob-2", "eve-3"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
json_values = st.recursive(
    json_scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)
json_objects = st.dictionaries(texts, json_values, max_size=3)

# --- backoff ------------------------------------------------------------------------------------

_shares = st.floats(0, 1)


def _policies(seconds: st.SearchStrategy[float]) -> st.SearchStrategy[Backoff]:
    return st.one_of(
        st.builds(Fixed, seconds=seconds),
        st.builds(Linear, base=seconds, max_delay=seconds, jitter=_shares),
        st.builds(Exponential, base=seconds, factor=seconds | st.floats(1, 3), max_delay=seconds, jitter=_shares),
        st.builds(Steps, delays=st.lists(seconds, min_size=1, max_size=5)),
    )


#: All that can be said, up to waits that outlast the stars.
backoffs = _policies(st.floats(0, allow_infinity=False) | durations())
#: What a job may have whose end a test waits for.
sane_backoffs = _policies(durations())

# --- commands and outcomes ----------------------------------------------------------------------

#: For each field that a command or an outcome has, what may stand in it.
_FIELDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "worker": workers,
    "lease_until": moments,
    "result": st.sampled_from([b"null", b"1", b'"done"']),
    "error": st.sampled_from(["ValueError: no", "TimeoutError: slow"]),
    "delay": durations(),
    "after": st.sampled_from([None, 0.0]) | durations(),
    "reason": st.sampled_from(["", "unsubscribed"]),
}


def _built(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{field.name: _FIELDS[field.name] for field in attrs.fields(kind)})


#: Every command that the table knows: one that is added there is tried here at once.
commands: st.SearchStrategy[Command] = st.one_of([_built(kind) for kind in TABLE])
one_of_each_command = st.tuples(*(_built(kind) for kind in TABLE))
outcomes: st.SearchStrategy[Outcome] = st.one_of([_built(kind) for kind in get_args(Outcome)])

# --- jobs ---------------------------------------------------------------------------------------

#: What a producer may ask for when enqueuing; the store has not seen it.
new_jobs = st.builds(
    Job,
    id=names,
    queue=names,
    task=names,
    payload=st.sampled_from([b"[[],{}]", b'[["a@example.org"],{"n":1}]']),
    priority=st.integers(HIGHEST_PRIORITY, LOWEST_PRIORITY),
    delay=st.none() | durations(),
    run_at=st.just(0.0) | moments,
    ttl=st.none() | durations(),
    timeout=st.none() | durations(),
    max_retries=st.integers(0, 4),
    max_crashes=st.integers(1, 4),
    backoff=sane_backoffs,
    unique_key=st.none() | names,
    metadata=json_objects,
)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """A record that trioq could have stored: a new job after some steps of its life."""
    now = draw(moments)
    job = stamp(draw(new_jobs), draw(st.integers(1, 2**40)), now)
    for command, pause in draw(st.lists(st.tuples(commands, durations(100.0)), max_size=12)):
        now += pause
        try:
            job = job.after(step(job, command, now))
        except IllegalStep:
            continue
    return job


#: The same, under a lease that runs out when the job became ready.
held_jobs = jobs().map(
    lambda job: job.having({"state": State.ACTIVE, "worker": "ada-1", "lease_until": job.run_at, "finished_at": None})
)


#: Names that no field of a job has: what a newer trioq might write.
unknown_fields = st.dictionaries(
    st.text(string.ascii_lowercase + "_", min_size=1).filter(
        lambda name: name not in {field.name for field in attrs.fields(Job)} | {"format"}
    )
    | st.sampled_from(["extra", "unreadable"]),
    json_values,
    max_size=3,
)

_times = st.floats(0, 2e9)
_counters = st.integers(0, 2**31)

#: Any record at all, whether or not a life could lead to it: what the wire must carry.
records = st.builds(
    Job,
    id=names,
    queue=names,
    task=names,
    payload=st.binary(max_size=30),
    seq=st.integers(0, 2**62),
    state=st.sampled_from(State),
    version=_counters,
    priority=st.integers(HIGHEST_PRIORITY, LOWEST_PRIORITY),
    delay=st.none() | _times,
    ttl=st.none() | _times,
    timeout=st.none() | _times,
    max_retries=_counters,
    max_crashes=_counters,
    backoff=backoffs,
    unique_key=st.none() | names,
    metadata=json_objects,
    created_at=_times,
    run_at=_times,
    expires_at=st.none() | _times,
    started_at=st.none() | _times,
    finished_at=st.none() | _times,
    run=_counters,
    failures=_counters,
    crashes=_counters,
    snoozes=_counters,
    worker=st.none() | texts,
    lease_until=st.none() | _times,
    progress=json_values,
    result=st.none() | st.binary(max_size=30),
    error=st.none() | texts,
    cancel_reason=st.none() | texts,
    key=st.none() | names,
    parent=st.none() | names,
    extra=unknown_fields,
)

#: Names of the fields of a record, for bytes that look almost right.
field_names = st.sampled_from([field.name for field in attrs.fields(Job)] + ["format"])
#: A record's packed options are these fields of it.
OPTIONS: Final = wire.OPTIONS
