"""Statements in a ``.sql`` file, by name: ``-- name: claim`` begins one, and comments say what it does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Final

_MARK: Final = "-- name: "
_PLACEHOLDER: Final = re.compile(r"{(\w+)}")


def read_statements(package: str, replacements: Mapping[str, str]) -> dict[str, str]:
    """Read the statements of the package's ``queries.sql``; replace each name in braces that *replacements* has."""
    text = files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    return {name: fill(statement, replacements) for name, statement in _split(text)}


def fill(statement: str, replacements: Mapping[str, str]) -> str:
    """Replace the names in braces; names in the replacements themselves stay."""
    return _PLACEHOLDER.sub(lambda found: replacements.get(found[1], found[0]), statement)


def _split(text: str) -> Iterator[tuple[str, str]]:
    for block in text.split(_MARK)[1:]:
        name, _, body = block.partition("\n")
        lines = (line for line in body.splitlines() if not line.lstrip().startswith("--"))
        yield name.strip(), "\n".join(lines).strip().rstrip(";")
