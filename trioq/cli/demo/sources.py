"""The demo's input: the source files of Python's own library, or of a folder; and three that can't be parsed."""

from __future__ import annotations

import platform
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import attrs

from ..._core.errors import TrioqError

#: Installed packages lie inside the standard library's folder, and are none of it.
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})

_BROKEN: Final[Mapping[str, bytes]] = {
    "unfinished.py": b"def f(:\n",
    "no_such_coding.py": b"# -*- coding: uft-8 -*-\n",
    "not_utf8.py": b'name = "L\xf6wis"\n',
}


class NoSources(TrioqError):
    """There is nothing to work on."""


@attrs.frozen
class Sources:
    """Some files, and what they are."""

    title: str
    root: Path
    files: Sequence[Path]

    @classmethod
    def of(cls, folder: Path | None) -> Self:
        """Those of *folder*, or of the running interpreter's standard library with its tests.  NoSources for none."""
        if folder is None:
            root = Path(sysconfig.get_path("stdlib"))
            title = f"the standard library of Python {platform.python_version()}"
            left_out = _INSTALLED
        else:
            root, title, left_out = folder.absolute(), str(folder), frozenset()
            if not root.is_dir():
                raise NoSources(f"{folder} is not a folder")
        files = [
            path
            for path in sorted(root.rglob("*.py"))
            if path.is_file() and left_out.isdisjoint(path.relative_to(root).parts) and _is_text(str(path))
        ]
        if not files:
            raise NoSources(f"there are no Python source files in {root}")
        return cls(title, root, files)

    @classmethod
    def broken(cls, folder: Path) -> Self:
        """Three files that don't parse or decode, written to *folder*."""
        for name, content in _BROKEN.items():
            (folder / name).write_bytes(content)
        return cls("three broken files", folder, [folder / name for name in _BROKEN])

    def label(self, path: str) -> str:
        """A short name for one of the files."""
        return str(Path(path).relative_to(self.root)) if Path(path).is_relative_to(self.root) else Path(path).name


def _is_text(path: str) -> bool:
    """Whether JSON can hold it: the arguments of a job are JSON, and some file systems allow names that aren't text."""
    return path.isprintable() or path.encode(errors="ignore").decode() == path
