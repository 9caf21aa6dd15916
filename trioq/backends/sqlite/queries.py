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
def settle(name: str, columns: Sequence[str]) -> str:
    """Return the compare and swap of this name that sets these columns."""
    assignments = ", ".join(f"{column} = ?" for column in columns)
    return SQL[name].replace("{assignments}", assignments)


@lru_cache(maxsize=256)
def stored(columns: Sequence[str]) -> str:
    """Return the statement that reads these columns of one record."""
    return SQL["stored"].replace("{changed}", ", ".join(columns))
