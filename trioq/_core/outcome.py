"""How a run ended, as a type; and the signals that a handler raises to say so itself."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Final

import attrs

from .backoff import check_seconds

#: Error texts are cut to this many bytes of UTF-8.
MAX_ERROR_BYTES: Final = 64 * 1024


@attrs.frozen
class Returned:
    """The handler returned; ``result`` is encoded."""

    result: bytes


@attrs.frozen
class Raised:
    """The handler raised, or its result couldn't be stored."""

    error: str


@attrs.frozen
class TimedOut:
    """The handler took longer than the job's ``timeout``."""

    error: str


@attrs.frozen
class UnknownTask:
    """The queue has no task of this name here; a later deploy may."""

    error: str


@attrs.frozen
class RetryAsked:
    """The handler raised `Retry`."""

    error: str
    after: float | None = None


@attrs.frozen
class Rejected:
    """The handler raised `Reject`: no retry will help."""

    error: str


@attrs.frozen
class BadPayload:
    """The record or its arguments can't be read: no retry will help."""

    error: str


@attrs.frozen
class Snoozed:
    """The handler raised `Snooze`."""

    delay: float


@attrs.frozen
class Interrupted:
    """Never started, or stopped by a shutdown."""


@attrs.frozen
class Expired:
    """Too late to start."""


@attrs.frozen
class CancelledByUser:
    """A caller cancelled the job, and the store has that already."""


@attrs.frozen
class LeaseLost:
    """Another worker took the job over, or it is gone."""


Outcome = (
    Returned
    | Raised
    | TimedOut
    | UnknownTask
    | RetryAsked
    | Rejected
    | BadPayload
    | Snoozed
    | Interrupted
    | Expired
    | CancelledByUser
    | LeaseLost
)


class Signal(Exception):
    """What a handler raises to say how its run ended.  Not an error."""


class Retry(Signal):
    """Run this job again: after *after* seconds, or by its backoff.  It spends an attempt."""

    def __init__(self, after: float | None = None) -> None:
        self.after = None if after is None else check_seconds("Retry(after=)", after)
        super().__init__("the handler asked for a retry")


class Snooze(Signal):
    """Put this job off for *delay* seconds.  No attempt is spent."""

    def __init__(self, delay: float) -> None:
        self.delay = check_seconds("Snooze(delay)", delay)
        super().__init__(f"the handler put the job off for {self.delay:g} s")


class Reject(Signal):
    """Fail this job for good, whatever retries are left."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason)


def outcome_of(error: BaseException, cancelled: type[BaseException]) -> Outcome:
    """The outcome that an exception from a handler means.

    Signals are found inside nested ExceptionGroups.  A Reject always decides.  A Retry, or else a Snooze, decides only
    where every other leaf is a signal or *cancelled*: Trio's Cancelled, which nurseries raise in siblings.  Everything
    else is a Raised.
    """
    leaves = list(leaves_of(error))
    for leaf in leaves:
        if isinstance(leaf, Reject):
            return Rejected(error_text(leaf))
    if all(isinstance(leaf, (Signal, cancelled)) for leaf in leaves):
        for leaf in leaves:
            if isinstance(leaf, Retry):
                return RetryAsked(error_text(leaf), leaf.after)
        for leaf in leaves:
            if isinstance(leaf, Snooze):
                return Snoozed(leaf.delay)
    return Raised(error_text(error))


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, and in the groups in it; or *error* itself, if it is no group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of(inner)
    else:
        yield error


def error_text(error: BaseException) -> str:
    """The traceback, cut in its middle where it is too long, with the type and message as its last line."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    bare = traceback.TracebackException(type(error), error, None)
    bare.__notes__ = []  # they stay in the trace: the last line is the type and message
    summary = cut([*bare.format_exception_only()][-1].rstrip(), MAX_ERROR_BYTES // 2).replace("\n", " ")
    trace = "".join(traceback.format_exception(error)).rstrip().removesuffix(summary)
    return f"{cut(trace.rstrip(), MAX_ERROR_BYTES - len(summary.encode()) - 1)}\n{summary}"


def cut(text: str, limit: int = MAX_ERROR_BYTES) -> str:
    """*text* in at most *limit* bytes of UTF-8: too long a text loses its middle, a lone surrogate becomes ``?``."""
    data = text.encode("utf-8", "replace")
    if len(data) > limit:
        mark = b"\n[...]\n"
        keep = max(0, limit - len(mark)) // 2
        data = (data[:keep] + mark + data[len(data) - keep :])[:limit]
    return data.decode("utf-8", "ignore")
