"""The sums of all that was ever run, in ``docs/faults/totals.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from .result import Result

FOLDER: Final = Path(__file__).parents[2] / "docs" / "faults"

_FILE: Final = FOLDER / "totals.json"

#: By experiment, then by store.
Totals = dict[str, dict[str, Result]]


def stored_totals() -> Totals:
    """What is stored."""
    if not _FILE.exists():
        return {}
    stored = json.loads(_FILE.read_text())
    return {name: {kind: Result.of_json(each) for kind, each in kinds.items()} for name, kinds in stored.items()}


def store_totals(totals: Totals) -> None:
    """Store them, by way of another file, so that there is always a whole one."""
    FOLDER.mkdir(exist_ok=True)
    plain = {name: {kind: each.as_json() for kind, each in kinds.items()} for name, kinds in sorted(totals.items())}
    fresh = _FILE.with_suffix(".new")
    fresh.write_text(json.dumps(plain, indent=1) + "\n")
    fresh.replace(_FILE)
