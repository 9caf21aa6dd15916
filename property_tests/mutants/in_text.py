"""Replace words in a file of SQL or Lua: found by the name of their statement or function, whatever the layout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

#: A comment, a string, a word or any other character.
_WORD: Final = re.compile(r"--[^\n]*|'(?:[^'\\]|\\.)*'|\w+|\S")

#: How what has a name begins and ends: a statement of ``queries.sql``, a table or an index, a function of Lua.
_DEFINITIONS: Final = (
    r"^-- name: {name}\n.*?(?=^-- name: |\Z)",
    r"^CREATE [A-Z ]*\b{name}\b.*?;$",
    r"^local function {name}\(.*?^end$",
)


def replace(text: str, place: str, right: str, wrong: str) -> str:
    """The file with *wrong* for *right*, which stands once in the definition; LookupError says why it can't be."""
    begin, end = _definition(text, place)
    wanted = [word for word, _, _ in _words(right)]
    words = list(_words(text[begin:end]))
    found = []
    for start in range(len(words) - len(wanted) + 1):
        part = words[start : start + len(wanted)]
        if [word for word, _, _ in part] == wanted:
            found.append((begin + part[0][1], begin + part[-1][2]))
    if len(found) != 1:
        raise LookupError(f"{right!r} is there {len(found)}x")
    [(first, last)] = found
    return text[:first] + wrong + text[last:]


def _definition(text: str, place: str) -> tuple[int, int]:
    if not place:
        return 0, len(text)
    patterns = (pattern.format(name=re.escape(place)) for pattern in _DEFINITIONS)
    found = [match.span() for it in patterns for match in re.finditer(it, text, re.MULTILINE | re.DOTALL)]
    if len(found) != 1:
        raise LookupError(f"{place!r} is defined {len(found)}x")
    return found[0]


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    """Each word with where it begins and ends, without comments."""
    for match in _WORD.finditer(text):
        if not match[0].startswith("--"):
            yield match[0], *match.span()
