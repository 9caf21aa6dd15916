"""``trioq demo``: its options, and where its jobs are kept."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import trio
import typer
from rich.console import Console

from ..._settings import settings
from ...backends import open_backend
from .progress import open_display
from .sources import Sources


def demo(
    folder: Annotated[Path | None, typer.Argument(help="Where to look for source files, instead.")] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="URL", help="Where to keep the jobs; else SQLite in a temporary folder.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="How many processes parse at once; else one for each core.")
    ] = None,
) -> None:
    """Watch real jobs go through a durable queue: one for each source file of Python's own standard library.

    A job reads, hashes and parses its file, and counts the definitions. Some files can't be parsed: their jobs are
    retried, and end as dead letters. Ctrl-C drains and says what is left; a second one cancels what runs.
    """
    sources = Sources.of(folder)
    with TemporaryDirectory(prefix="trioq-demo-") as scratch:
        url = backend or f"sqlite:{scratch}/demo.db"
        try:
            open_backend(url)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--backend") from None
        settings.backend = url
        _run(sources, url, Path(scratch), concurrency or os.cpu_count() or 1, lasts=backend is not None)


def _run(sources: Sources, url: str, scratch: Path, concurrency: int, *, lasts: bool) -> None:
    from .flow import Demo  # now that the settings say where its queue is
    from .report import show_report

    console = Console(highlight=False)
    with open_display(console) as display:
        report = trio.run(Demo(sources, scratch, concurrency, display).run, partial(console.print, soft_wrap=True))
    show_report(report, console)
    if any(report.left.values()):
        console.print(_advice(url, lasts=lasts), soft_wrap=True)


def _advice(url: str, *, lasts: bool) -> str:
    if not lasts or url.startswith("memory:"):
        return "Stopped; what is left goes with the temporary store. With --backend sqlite:demo.db it would be kept."
    return f"Stopped; what is left is safe. Run it with: TRIOQ_BACKEND={url} trioq worker trioq.cli.demo.tasks:queue"
