"""The statements of ``queries.sql``, by name.  Their text lives there; their values are bound where they are run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final

from . import rows

_MARK: Final = "-- name: "


def _statements(text: str) -> Iterator[tuple[str, str]]:
    for block in text.split(_MARK)[1:]:
        name, _, body = block.partition("\n")
        lines = (line for line in body.splitlines() if not line.startswith("--"))
        yield name.strip(), "\n".join(lines).strip().rstrip(";")


def _load() -> dict[str, str]:
    statements = dict(_statements(files(__package__).joinpath("queries.sql").read_text(encoding="utf-8")))
    columns, values = ", ".join(rows.COLUMNS), ", ".join("?" * len(rows.COLUMNS))
    for name, statement in statements.items():
        statement = statement.replace("{record}", rows.RECORD)
        statements[name] = statement.replace("{columns}", columns).replace("{values}", values)
    return statements


SQL: Final = _load()


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
