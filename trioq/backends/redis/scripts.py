"""The Lua of ``scripts/``, by verb.  What a script does is told in its file; here it is only read and named."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha1
from importlib.resources import files
from typing import Final

import attrs


@attrs.frozen(eq=False)
class Script:
    """A verb, as the server knows it."""

    name: str
    text: bytes = attrs.field(repr=False)
    sha: bytes = attrs.field(repr=False)  #: the name by which a server finds a text that it has seen


def _load() -> dict[str, Script]:
    folder = files(__package__).joinpath("scripts")
    prelude = folder.joinpath("prelude.lua").read_bytes()
    scripts = {}
    for file in folder.iterdir():
        name, _, kind = file.name.partition(".")
        if kind == "lua" and name != "prelude":
            text = _shortened(prelude + file.read_bytes())
            scripts[name] = Script(name, text, sha1(text, usedforsecurity=False).hexdigest().encode())
    return scripts


def _shortened(text: bytes) -> bytes:
    """Without the lines that only say something: a server compiles a text once, but keeps it for as long as it runs."""
    return b"\n".join(line for line in text.splitlines() if not line.lstrip().startswith(b"--"))


SCRIPTS: Final[Mapping[str, Script]] = _load()
