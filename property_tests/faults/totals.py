"""The sums of all that was ever run, in ``docs/faults/totals.jsonl``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from .result import Result

FOLDER: Final = Path(__file__).parents[2] / "docs" / "faults"

_FILE: Final = FOLDER / "totals.jsonl"

#: By experiment, then by store.
Totals = dict[str, dict[str, Result]]


def stored_totals() -> Totals:
    """What is stored: a line for each experiment and store."""
    totals: Totals = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines() if _FILE.exists() else []:
        result = json.loads(line)
        name, kind = result.pop("experiment"), result.pop("store")
        totals.setdefault(name, {})[kind] = Result.of_json(result)
    return totals


def store_totals(totals: Totals) -> None:
    """Store them, by way of another file, so that there is always a whole one."""
    FOLDER.mkdir(exist_ok=True)
    fresh = _FILE.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as lines:
        for name, kinds in sorted(totals.items()):
            for kind, each in kinds.items():
                lines.write(json.dumps({"experiment": name, "store": kind, **each.as_json()}) + "\n")
    fresh.replace(_FILE)
