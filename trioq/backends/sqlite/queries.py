"""The statements of ``queries.sql``, by name.  Their text lives there; their values are bound where they are run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from .._sql import read_statements
from . import rows

SQL: Final = read_statements(
    __package__,
    {"record": rows.RECORD, "columns": ", ".join(rows.COLUMNS), "values": ", ".join("?" * len(rows.COLUMNS))},
)


# The commands change few sets of columns, so the statements are few; SQLite keeps them prepared by their text.
@lru_cache(maxsize=256)
def settle(columns: Sequence[str], compares_lease: bool) -> str:
    """The compare and swap that sets these columns."""
    assignments = ", ".join(f"{name} = ?" for name in columns)
    return SQL["settle_lease" if compares_lease else "settle"].replace("{assignments}", assignments)


@lru_cache(maxsize=256)
def stored(columns: Sequence[str]) -> str:
    """The look at these columns of one record."""
    return SQL["stored"].replace("{changed}", ", ".join(columns))
