"""Shows the demo at work: a display that is redrawn on a terminal, or a line now and then elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

import attrs
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

#: state -> its name in the display, and its style.
_STATES: Final = {
    "waiting": ("waiting", "white"),
    "delayed": ("in backoff", "yellow"),
    "active": ("running", "cyan"),
    "completed": ("completed", "green"),
    "failed": ("dead", "red"),
}

#: Seconds over which the rate is taken.
_WINDOW: Final = 3.0

#: Seconds between two lines where nothing can be redrawn.
_LINE_EVERY: Final = 2.0


@attrs.frozen(kw_only=True)
class Progress:
    """The demo at one moment."""

    elapsed: float  #: seconds
    total: int
    counts: Mapping[str, int]
    retries: int
    news: str = ""  #: the last event worth showing

    @property
    def done(self) -> int:
        """How many jobs have ended, one way or the other."""
        return self.total - sum(self.counts[state] for state in ("waiting", "delayed", "active"))


class Display(Protocol):
    """Where progress is shown."""

    def show(self, progress: Progress) -> None:
        """Show this moment instead of the last one."""


@contextmanager
def open_display(console: Console) -> Iterator[Display]:
    """A display that suits the console: redrawn in place, or lines."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(console)
        return
    # Redrawn by hand: rich's own refresh is a thread.
    with Live(console=console, auto_refresh=False, redirect_stderr=False, redirect_stdout=False) as live:
        yield _Terminal(live)


class _Terminal:
    def __init__(self, live: Live) -> None:
        self._live = live
        self._meter = _Meter()

    def show(self, progress: Progress) -> None:
        self._live.update(draw(progress, self._meter.rate(progress)), refresh=True)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._meter = _Meter()
        self._next = 0.0

    def show(self, progress: Progress) -> None:
        rate = self._meter.rate(progress)
        if progress.elapsed >= self._next or progress.done == progress.total:
            self._next = progress.elapsed + _LINE_EVERY
            self._console.print(_line(progress, rate), soft_wrap=True)


class _Meter:
    """Measures jobs a second, lately."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def rate(self, progress: Progress) -> float:
        self._samples.append((progress.elapsed, progress.done))
        while len(self._samples) > 2 and self._samples[1][0] <= progress.elapsed - _WINDOW:
            self._samples.popleft()
        (then, before), (now, done) = self._samples[0], self._samples[-1]
        return (done - before) / (now - then) if now > then else 0.0


def draw(progress: Progress, rate: float) -> RenderableType:
    """The display: a bar, the states, the news."""
    bar = Table.grid(padding=(0, 2), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="right", no_wrap=True)
    bar.add_row(
        ProgressBar(progress.total, progress.done),
        Text.assemble(
            (f"{progress.done:,}", "bold"),
            f" of {progress.total:,}   ",
            (f"{rate:,.0f}/s", "cyan"),
            f"   {progress.elapsed:.0f} s",
        ),
    )
    news = Text(progress.news or " ", style="dim", no_wrap=True, overflow="ellipsis")
    return Group(bar, _states(progress), news)


def _line(progress: Progress, rate: float) -> Text:
    head = f"{progress.elapsed:3.0f} s  {progress.done:,} of {progress.total:,} done, {rate:,.0f}/s   "
    return Text.assemble(head, _states(progress))


def _states(progress: Progress) -> Text:
    parts = [(f"{name} {progress.counts[state]:,}   ", style) for state, (name, style) in _STATES.items()]
    return Text.assemble(*parts, (f"retries {progress.retries:,}", "yellow"))
