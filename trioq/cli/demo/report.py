"""The demo's closing table: how the jobs ended, how fast, and what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import quantiles

import attrs
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .tasks import SourceFile


@attrs.frozen(kw_only=True)
class Report:
    """The contents of the closing table."""

    measured: Sequence[SourceFile]
    dead: Mapping[str, str]  #: file -> the last line of its error
    left: Mapping[str, int]  #: state -> jobs that have not ended
    retries: int
    elapsed: float  #: seconds from the first enqueue until the last job ended
    latencies: Sequence[float]  #: seconds from a probe's enqueue to its handler
    concurrency: int

    @property
    def ended(self) -> int:
        """How many jobs have ended."""
        return len(self.measured) + len(self.dead)


def show_report(report: Report, console: Console) -> None:
    """Print the closing table."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in _rows(report):
        table.add_row(name, value)
    console.print(table)
    if report.dead:
        console.print(_dead_letters(report.dead))


def _rows(report: Report) -> Sequence[tuple[str, str]]:
    files, left = report.measured, sum(report.left.values())
    ended, seconds = report.ended, max(report.elapsed, 0.001)
    rows = [
        ("jobs", f"{ended:,} ended: completed {len(files):,}, dead letters {len(report.dead):,}"),
        ("retries", f"{report.retries:,}"),
        ("jobs a second", f"{ended / seconds:,.0f} ({ended:,} in {seconds:.1f} s, {report.concurrency} at once)"),
        ("pick-up latency", _latency(report.latencies)),
        ("source", f"{_total(files, 'bytes')} bytes, {_total(files, 'lines')} lines"),
        ("definitions", f"functions {_total(files, 'functions')}, classes {_total(files, 'classes')}"),
        ("duplicates", f"{len(files) - len({file.sha256 for file in files}):,}, by SHA-256"),
    ]
    if left:
        rows.append(("left", f"{left:,}: " + ", ".join(f"{state} {n:,}" for state, n in report.left.items() if n)))
    return rows


def _total(files: Sequence[SourceFile], field: str) -> str:
    return f"{sum(getattr(file, field) for file in files):,}"


def _latency(latencies: Sequence[float]) -> str:
    if len(latencies) < 2:
        return "not measured"
    cuts = quantiles(latencies, n=100)
    figures = f"p50 {cuts[49] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms"
    return f"{figures} ({len(latencies)} probes: enqueue to handler, idle)"


def _dead_letters(dead: Mapping[str, str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("dead letter", style="red", overflow="fold", min_width=20)
    table.add_column("reason", no_wrap=True, overflow="ellipsis")
    for file, reason in sorted(dead.items()):
        table.add_row(Text(file), Text(reason))
    return table
