"""The whole contract of a backend, as a list of checks.  Each stands in its chapter, named by what it proves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from . import _cancelling, _claim, _insert, _leases, _lifetime, _reads, _records, _settle, _tidying, _watching
from ._given import Make

_CHAPTERS: Final = (
    _lifetime,
    _insert,
    _records,
    _claim,
    _settle,
    _leases,
    _reads,
    _tidying,
    _cancelling,
    _watching,
)

#: Every check, for a test runner that shows each as a test of its own.
CHECKS: Final[tuple[Callable[[Make], Awaitable[None]], ...]] = tuple(
    check for chapter in _CHAPTERS for name, check in vars(chapter).items() if name.startswith("check_")
)


async def check_backend(make: Make) -> None:
    """Prove that the backends which *make* answers keep the whole contract of `trioq.abc.Backend`.

    *make* is called for each check, and answers a backend over a new, empty store, not yet entered.  Some checks
    wait for a second of store time: they sleep, and read the store's clock.  So either that clock follows Trio's, and
    the checks run under ``MockClock(autojump_threshold=0)``; or both are real clocks.

    AssertionError tells what does not hold, and which check says so.
    """
    for check in CHECKS:
        await run_check(check, make)


async def run_check(check: Callable[[Make], Awaitable[None]], make: Make) -> None:
    """Run one check.  AssertionError begins with its sentence and its name, as the specification has them."""
    try:
        await check(make)
    except AssertionError as error:
        sentence = " ".join((check.__doc__ or "").partition("\n\n")[0].split())
        raise AssertionError(f"Broken: {sentence} ({check.__name__})\n  {error}") from error
