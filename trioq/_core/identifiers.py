"""What ids, unique keys, queue and task names may look like: nothing that could break a key, a script or a log."""

from __future__ import annotations

import re
from typing import Final

from .errors import BadName

_NAME: Final = re.compile(r"[\x20-\x7e]{1,200}")


def check_name(what: str, value: object) -> str:
    """*value*, if it is 1 to 200 printable ASCII characters; else BadName, which says *what* it was."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise BadName(what, value)
    return value
