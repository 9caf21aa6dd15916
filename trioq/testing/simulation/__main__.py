"""``python -m trioq.testing.simulation SEED``: reports what happens in the world of that seed, and judges it."""

from __future__ import annotations

import argparse
import sys

from .._naming import named
from .report import report
from .rules import broken
from .seeds import check_seed, command


def main() -> int:
    """The exit code: 1 where a rule is broken."""
    parser = argparse.ArgumentParser(prog="python -m trioq.testing.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--backend", default="trioq:InMemoryBackend", metavar="MODULE:FACTORY")
    parser.add_argument("--histories", type=int, help="run as many seeds, from this one on, and tell only what breaks")
    arguments = parser.parse_args()
    try:
        make = named(arguments.backend)
    except ValueError as error:
        parser.error(f"--backend={arguments.backend}: {error}")
    last = arguments.seed + (arguments.histories or 1)
    for seed in range(arguments.seed, last):
        try:
            history = check_seed(seed, make)
        except AssertionError as error:
            print(error)
            return 1
        if arguments.histories is None:
            print(report(history, broken(history), command(seed, make)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
