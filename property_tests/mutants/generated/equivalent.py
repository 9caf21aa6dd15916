"""Generated mutants that no property can notice, and why.

A mutant is known by its module, the function or class that it is in, the lines that it changes and what it makes of
them: code that only moves leaves the list as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Module, where, right, wrong.
Key = tuple[str, str, str, str]

_COMMAND: Final = "Command = Claim | Complete | Fail | Reject | Snooze | Release | Expire | Cancel | Reclaim | Requeue"
_LEASE: Final = "#: a renewal leaves the version, so a Reclaim also compares the lease it read"

#: By their reasons, which are sentences of the documentation.
EQUIVALENT: Final[Mapping[str, tuple[Key, ...]]] = {
    "Names of types, which stand in annotations only. Nothing reads them at run time; ``make types`` notices.": (
        ("lifecycle", "", _COMMAND, "Command = None"),
        ("lifecycle", "", "Fields = dict[str, Any]", "Fields = None"),
        ("lifecycle", "", "Fields = dict[str, Any]", "pass"),
        ("backoff", "", "Backoff = Fixed | Linear | Exponential | Steps", "Backoff = None"),
    ),
    "No run comes here: each outcome has its case, and the line is there for ``make types`` to prove it.": (
        ("lifecycle", "command_for", "assert_never(outcome)", "assert_never(None)"),
    ),
    "A default that no caller relies on: only ``step`` makes a change, and it always says which lease to compare.": (
        (
            "lifecycle",
            "Change",
            f"lease_until: float | None = None  {_LEASE}",
            f'lease_until: float | None = ""  {_LEASE}',
        ),
    ),
}
