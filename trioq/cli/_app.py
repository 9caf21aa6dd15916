"""All commands, by name, and how typer runs them.  What they do is in their own modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from typer import BadParameter

from .._core.errors import TrioqError
from .._version import __version__
from ._migrate import migrate
from ._worker import worker
from .demo.command import demo

COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "worker": worker,
    "migrate": migrate,
    "demo": demo,
}

#: The base class of typer's usage errors.  Found this way, because typer brings a click of its own since 0.26.
_UsageError: Final[Any] = BadParameter.__base__


class WrongUsage(TrioqError):
    """A command line that makes no sense."""


def _version(asked: bool) -> None:
    if asked:
        print(f"trioq {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A Trio-native job queue."""


def run(arguments: Sequence[str]) -> int:
    """The exit code of the command that *arguments* ask for; WrongUsage where they ask for none."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_root)
    for name, command in COMMANDS.items():
        app.command(name)(command)
    try:
        code = app(list(arguments) or ["--help"], prog_name="trioq", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except _UsageError as error:
        hint = "" if error.ctx is None else f" (see: {error.ctx.command_path} --help)"
        raise WrongUsage(error.format_message().rstrip(".") + hint) from None
    return code if isinstance(code, int) else 0
