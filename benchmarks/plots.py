"""Draws what the page shows.  The pictures are SVG with their text as text; the same results make the same files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from .contenders import CONTENDERS, Contender
from .page import better, number
from .results import Results
from .workloads import WORKLOADS, Workload

_OURS: Final = "#0b7a75"
_THEIRS: Final = "#b0b7bf"
_LIMIT: Final = "#e3a23c"

_STYLE: Final = {
    "svg.fonttype": "none",
    "svg.hashsalt": "trioq",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}


def draw_all(results: Results, folder: Path) -> None:
    """Draw them into this folder."""
    with mpl.rc_context(_STYLE):
        _draw_dots(results, _workload("drain, concurrency 100"), "jobs a second, log scale", folder / "drain.svg")
        _draw_dots(results, _workload("pick up"), "milliseconds (median), log scale", folder / "pick_up.svg")
        _draw_ratios(results, folder / "ratios.svg")


def _workload(name: str) -> Workload:
    [found] = [each for each in WORKLOADS if each.name == name]
    return found


def _color(contender: Contender) -> str:
    return _OURS if contender.is_trioq else _LIMIT if contender.limit else _THEIRS


def _draw_dots(results: Results, workload: Workload, axis: str, path: Path) -> None:
    """A dot for each contender, with its spread; the stores below each other."""
    shown = [(each, results.spread(workload.name, each.name, workload.figure)) for each in CONTENDERS]
    shown = [(each, spread) for each, spread in shown if spread is not None]
    figure = Figure(figsize=(8, 0.8 + 0.27 * len(shown)), layout="constrained")
    plot = figure.subplots()
    place, places, store = 0.0, [], None
    for contender, spread in shown:
        place += 1.0 if contender.store == store else 1.6
        store = contender.store
        places.append(place)
        low, high = spread.ends
        middle = spread.median
        whiskers = [[middle - low], [high - middle]]
        plot.errorbar(middle, place, xerr=whiskers, fmt="o", color=_color(contender), elinewidth=1.5, markersize=6)
        plot.text(high * 1.06, place, number(middle), va="center")
    plot.set_yticks(
        places, [each.name if each.store in each.name else f"{each.name} ({each.store})" for each, _ in shown]
    )
    plot.invert_yaxis()
    _finish(plot, axis)
    figure.savefig(path, metadata={"Date": None})


def _draw_ratios(results: Results, path: Path) -> None:
    """A dot for each contender in each workload: how many times better trioq does."""
    stores = ("Redis", "PostgreSQL", "SQLite")
    figure = Figure(figsize=(10, 5), layout="constrained")
    plots = figure.subplots(1, len(stores), sharey=True)
    for store, plot in zip(stores, plots, strict=True):
        peers = [each for each in CONTENDERS if each.store == store and not each.is_trioq]
        _draw_panel(results, peers, plot)
        plot.set_title(f"on {store}")
    plots[0].set_yticks(range(len(WORKLOADS)), [each.name for each in WORKLOADS])
    plots[0].invert_yaxis()
    figure.savefig(path, metadata={"Date": None})


def _draw_panel(results: Results, peers: Sequence[Contender], plot: Any) -> None:
    for peer, mark in zip(peers, cycle("osD^vP*X")):
        ratios = [better(results, workload, peer) for workload in WORKLOADS]
        dots = [(ratio.median, place) for place, ratio in enumerate(ratios) if ratio is not None]
        if dots:
            plot.plot(*zip(*dots, strict=True), mark, label=peer.name, alpha=0.8, markersize=5)
    plot.axvline(1, color="black", lw=1)
    plot.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, fontsize=8)
    _finish(plot, "times better than the peer, log scale")


def _finish(plot: Any, axis: str) -> None:
    plot.set_xscale("log")
    plot.set_xlabel(axis)
    plot.grid(axis="x", alpha=0.3)
