"""``python -m trioq.testing.simulation SEED``: tells what happens in the world of that seed, and judges it."""

from __future__ import annotations

import argparse
import importlib
import sys

from .rules import broken
from .seeds import check_seed, command
from .story import story
from .world import Make


def main() -> int:
    """The exit code: 1 where a rule is broken."""
    parser = argparse.ArgumentParser(prog="python -m trioq.testing.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--backend", default="trioq:InMemoryBackend", metavar="MODULE:FACTORY")
    parser.add_argument("--histories", type=int, help="run as many seeds, from this one on, and tell only what breaks")
    arguments = parser.parse_args()
    make = _make(arguments.backend)
    last = arguments.seed + (arguments.histories or 1)
    for seed in range(arguments.seed, last):
        try:
            history = check_seed(seed, make)
        except AssertionError as error:
            print(error)
            return 1
        if arguments.histories is None:
            print(story(history, broken(history), command(seed, make)))
    return 0


def _make(reference: str) -> Make:
    module, _, factory = reference.partition(":")
    try:
        made: Make = getattr(importlib.import_module(module), factory)
    except (ImportError, AttributeError, ValueError) as error:
        raise SystemExit(
            f"--backend is module:factory, not {reference} ({error}). Is its folder on PYTHONPATH?"
        ) from error
    return made


if __name__ == "__main__":
    sys.exit(main())
