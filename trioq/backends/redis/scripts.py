"""The Lua of ``scripts/``, by verb.  What a script does is told in its file; here it is only read and named."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha1
from importlib.resources import files
from typing import Final

import attrs

#: What each script begins with, in this order.
_BEGINNING: Final = ("prelude", "ends", "records", "additions")


@attrs.frozen(eq=False)
class Script:
    """A verb, as the server knows it."""

    name: str
    text: bytes = attrs.field(repr=False)
    sha: bytes = attrs.field(repr=False)  #: the name by which a server finds a text that it has seen


def _load() -> dict[str, Script]:
    folder = files(__package__).joinpath("scripts")
    texts = {file.name.removesuffix(".lua"): file.read_bytes() for file in folder.iterdir()}
    beginning = b"".join(texts.pop(name) for name in _BEGINNING)
    return {verb: _script(verb, _shortened(beginning + text)) for verb, text in texts.items()}


def _script(verb: str, text: bytes) -> Script:
    return Script(verb, text, sha1(text, usedforsecurity=False).hexdigest().encode())


def _shortened(text: bytes) -> bytes:
    """Without the lines that only say something: a server compiles a text once, but keeps it for as long as it runs."""
    return b"\n".join(line for line in text.splitlines() if not line.lstrip().startswith(b"--"))


SCRIPTS: Final[Mapping[str, Script]] = _load()
