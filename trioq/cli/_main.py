"""The entry point: whatever goes wrong before the work begins is one line on stderr, and exit code 2."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Final, NoReturn

from .._core.errors import ExtraMissing, TrioqError

#: What the extra `cli` brings.
_EXTRA: Final = frozenset({"typer", "rich", "click"})

#: What a shell reports of a program that SIGINT ended.
_INTERRUPTED: Final = 130


def main() -> NoReturn:
    """Run the command that ``sys.argv`` asks for, and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a file name that the terminal can't show must not end a command
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run()
    except TrioqError as error:
        print(f"trioq: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BaseExceptionGroup as group:  # out of a nursery: Ctrl-C before a worker took over the signals
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        code = _INTERRUPTED
    sys.exit(code)


def _run() -> int:
    try:
        from ._app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise ExtraMissing("the command line", "cli") from error
    return run(sys.argv[1:])
