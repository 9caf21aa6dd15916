"""What the exception that left a handler means, and the text that is kept of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from property_tests import strategies as sts
from trioq._core.errors import JobFailed
from trioq._core.outcome import (
    MAX_ERROR_BYTES,
    Raised,
    Reject,
    Rejected,
    Retry,
    RetryAsked,
    Snooze,
    Snoozed,
    cut,
    error_text,
    outcome_of,
)


class Cancelled(BaseException):
    """Stands for Trio's, which the pure core does not know."""


leaves = st.one_of(
    st.builds(Retry, st.none() | sts.durations()),
    st.builds(Snooze, sts.durations()),
    st.builds(Cancelled),
    st.builds(Reject, st.sampled_from(["", "bad address"])),
    st.builds(ValueError, st.just("no")),
    st.builds(SystemExit, st.just(1)),
)
#: Signals and cancellations are common, so that the rules meet each other.
mild_leaves = st.builds(Retry, st.none() | sts.durations()) | st.builds(Snooze, sts.durations()) | st.builds(Cancelled)


def trees(leaf: st.SearchStrategy[BaseException]) -> st.SearchStrategy[BaseException]:
    """Exceptions, in groups, in groups."""
    return st.recursive(
        leaf,
        lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda found: BaseExceptionGroup("several", found)),
        max_leaves=6,
    )


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    todo = [error]
    while todo:
        first, *todo = todo
        if isinstance(first, BaseExceptionGroup):
            todo = [*first.exceptions, *todo]
        else:
            yield first


@given(error=trees(leaves) | trees(mild_leaves))
def test_signals_are_found_in_nested_groups(error: BaseException) -> None:
    """Of the exceptions that leave a handler, however nested in groups, a ``Reject`` decides; else a ``Retry``, else a
    ``Snooze``, but these only where every other leaf is a signal or ``Cancelled``; anything else is a failure.
    """
    found = list(leaves_of(error))
    rejects = [leaf for leaf in found if isinstance(leaf, Reject)]
    retries = [leaf for leaf in found if isinstance(leaf, Retry)]
    snoozes = [leaf for leaf in found if isinstance(leaf, Snooze)]
    foreign = [leaf for leaf in found if isinstance(leaf, (ValueError, SystemExit))]

    outcome = outcome_of(error, Cancelled)
    if rejects:
        assert isinstance(outcome, Rejected)
        assert outcome.error == error_text(rejects[0])
    elif foreign or not (retries or snoozes):
        assert outcome == Raised(error_text(error))
    elif retries:
        assert isinstance(outcome, RetryAsked)
        assert outcome.after == retries[0].after
    else:
        assert outcome == Snoozed(snoozes[0].delay)


@given(wait=st.floats(max_value=-1e-300) | st.sampled_from([float("nan"), float("inf")]))
def test_a_signal_cannot_ask_for_a_wait_that_is_none(wait: float) -> None:
    """``Retry`` and ``Snooze`` refuse a negative, infinite or NaN wait where they are made, in the handler."""
    with pytest.raises(ValueError, match="number of seconds"):
        Retry(after=wait)
    with pytest.raises(ValueError, match="number of seconds"):
        Snooze(wait)


# --- error texts --------------------------------------------------------------------------------

messages = st.text(max_size=40) | st.text("aé\n💥", max_size=200).map(lambda text: text * 2_000)


@given(
    message=messages,
    notes=st.lists(messages, max_size=2),
    cause=st.none() | messages,
    groups=st.integers(0, 3),
)
def test_an_error_text_is_at_most_64_kib(message: str, notes: list[str], cause: str | None, groups: int) -> None:
    """However long a message, its notes and its causes are, the text that is kept of an error has at most 64 KiB of
    UTF-8, and its last line still begins with the type.
    """
    error: BaseException = ValueError(message)
    for note in notes:
        error.add_note(note)
    if cause is not None:
        error.__cause__ = RuntimeError(cause)
    for _ in range(groups):
        error = BaseExceptionGroup("several", [error])
    text = error_text(error)
    assert len(text.encode()) <= MAX_ERROR_BYTES == 64 * 1024
    assert text.rpartition("\n")[2].startswith("ValueError")


@given(
    message=st.text(st.characters(exclude_categories=["Cs", "C", "Z"]), min_size=1, max_size=40),
    lines=st.lists(st.just("more"), max_size=3),
    notes=st.lists(sts.texts, max_size=2),
)
def test_an_error_text_ends_with_the_type_and_the_message(message: str, lines: list[str], notes: list[str]) -> None:
    """The last line of an error's text is its type and its message on one line, whatever notes it has; ``JobFailed``
    ends with that line, too.
    """
    error = ValueError("\n".join([message, *lines]))
    for note in notes:
        error.add_note(note)
    text = error_text(error)
    last = f"ValueError: {' '.join([message, *lines])}"
    assert text.rpartition("\n")[2] == last
    assert str(JobFailed("q", "1", text)).endswith(last)


@given(text=st.text(max_size=300), limit=st.integers(0, 300))
def test_what_is_cut_fits_and_keeps_both_ends(text: str, limit: int) -> None:
    """A text that is cut has at most the bytes that it may have; what fits is left as it was, and what does not keeps
    its beginning and its end.
    """
    found = cut(text, limit)
    assert len(found.encode()) <= limit
    whole = text.encode("utf-8", "replace").decode()
    if len(whole.encode()) <= limit:
        assert found == whole
    elif "\n[...]\n" in found and limit > 40:
        head, _, tail = found.partition("\n[...]\n")
        assert whole.startswith(head)
        assert whole.endswith(tail)
        assert len(found.encode()) > limit - 8
