"""One deliberate fault.  Where it is made and who should notice it is said in ``catalogue``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """What somebody could get wrong, in a sentence, and the text that becomes another so that it is wrong."""

    name: str
    file: str  #: below ``trioq/``
    right: str  #: stands in the file exactly once
    wrong: str

    def source(self, tree: Path) -> Path:
        """The file that it is made in."""
        return tree / "trioq" / self.file

    def apply(self, text: str) -> str:
        """The broken text; LookupError where the code has changed, and so must the mutant."""
        found = text.count(self.right)
        if found != 1:
            raise LookupError(
                f"{self.file} has changed, so change the mutant {self.name!r}: its text is there {found}x"
            )
        return text.replace(self.right, self.wrong)
