"""One deliberate fault: what is wrong, and which code becomes which.  ``catalogue`` says what is to notice it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from . import in_python, in_text


class Mutant(NamedTuple):
    """A sentence that says what is wrong, and the change that makes it so.

    *right* is looked for in one definition, without regard to comments and layout, and must be there exactly once.
    """

    name: str
    file: str  #: below ``trioq/``
    place: str  #: of Python a qualified name, of SQL a statement's or an index's, of Lua a function's; "": the file
    right: str  #: an expression or statements; in SQL and Lua any words
    wrong: str  #: "" deletes

    def source(self, tree: Path) -> Path:
        """The file that it changes."""
        return tree / "trioq" / self.file

    def apply(self, text: str) -> str:
        """The broken text; LookupError where the code has changed, so that the mutant must change, too."""
        language = in_python if self.file.endswith(".py") else in_text
        try:
            return language.replace(text, self.place, self.right, self.wrong)
        except LookupError as error:
            where = f"{self.file}, {self.place}" if self.place else self.file
            raise LookupError(f"{where} has changed, so change the mutant {self.name!r}: {error.args[0]}") from None
