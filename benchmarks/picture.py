"""Draws what the README shows: how many jobs a second each job queue drains.  A line of SVG for each, text as text."""

from __future__ import annotations

from typing import Final

from .contenders import CONTENDERS, Contender
from .page import FOLDER, number
from .results import Results

PICTURE: Final = FOLDER / "drain.svg"

_OURS: Final = "#0b7a75"
_THEIRS: Final = "#b0b7bf"

_ROW: Final = 20  #: pixels
_NAMES: Final = 230
_BARS: Final = 420

_SVG: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
{rows}
</svg>
"""


def picture(results: Results) -> str:
    """A bar for each job queue, in the order of their stores."""
    spreads = [(each, results.spread("drain, concurrency 100", each.name, "jobs/s")) for each in CONTENDERS]
    rates = [(each, spread.median) for each, spread in spreads if spread is not None and not each.limit]
    most = max(rate for _, rate in rates)
    rows = [_bar(each, rate, rate / most, row * _ROW) for row, (each, rate) in enumerate(rates)]
    return _SVG.format(height=len(rows) * _ROW, rows="\n".join(rows))


def _bar(contender: Contender, rate: float, share: float, top: int) -> str:
    name = contender.name if contender.store in contender.name else f"{contender.name} ({contender.store})"
    wide, color = share * _BARS, _OURS if contender.is_trioq else _THEIRS
    return (
        f'<text x="{_NAMES - 8}" y="{top + 14}" text-anchor="end">{name}</text>'
        f'<rect x="{_NAMES}" y="{top + 3}" width="{wide:.1f}" height="{_ROW - 6}" fill="{color}"/>'
        f'<text x="{_NAMES + wide + 6:.1f}" y="{top + 14}">{number(rate)}</text>'
    )
