"""The Lua of ``scripts/``, by verb.  What a script does, its file says; here it is only read and named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Final

import attrs

#: The files that scripts begin with, in this order; each script has of them what it needs.
_BEGINNING: Final = ("prelude", "ends", "records", "additions", "steps")

#: The names that a paragraph of them defines for those below.
_NAMES: Final = re.compile(rb"^local (?:function )?([\w, ]+)", re.MULTILINE)

_COMMENT: Final = re.compile(rb"\s*--.*")


@attrs.frozen(eq=False)
class Script:
    """A verb, as the server knows it."""

    name: str
    text: bytes = attrs.field(repr=False)
    sha: bytes = attrs.field(repr=False)  #: the name by which a server finds a text that it has seen


def _load() -> dict[str, Script]:
    folder = files(__package__).joinpath("scripts")
    texts = {file.name.removesuffix(".lua"): _paragraphs(file.read_bytes()) for file in folder.iterdir()}
    beginning = [paragraph for name in _BEGINNING for paragraph in texts.pop(name)]
    return {verb: _script(verb, _with_needed(beginning, paragraphs)) for verb, paragraphs in texts.items()}


def _script(verb: str, text: bytes) -> Script:
    return Script(verb, text, sha1(text, usedforsecurity=False).hexdigest().encode())


def _paragraphs(text: bytes) -> list[bytes]:
    """Split a script into paragraphs, without comments: a server keeps a text for as long as it runs."""
    return [code for paragraph in text.split(b"\n\n") if (code := _COMMENT.sub(b"", paragraph).strip())]


def _with_needed(beginning: Sequence[bytes], paragraphs: Sequence[bytes]) -> bytes:
    """Put before the script what it needs of the *beginning*.

    Each call makes all tables and functions of its script anew, and the server throws them away at the end.
    """
    text = b"\n".join(paragraphs)
    for paragraph in reversed(beginning):
        names = re.findall(rb"\w+", b" ".join(_NAMES.findall(paragraph)))
        if re.search(rb"\b(?:%b)\b" % b"|".join(names), text):
            text = paragraph + b"\n" + text
    return text


SCRIPTS: Final[Mapping[str, Script]] = _load()
