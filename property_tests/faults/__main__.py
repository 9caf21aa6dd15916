"""``python -m property_tests.faults [WORDS]``: run a sample of the experiments, add it to the sums, and write the page.

With ``--full`` it goes on until each experiment has been run often enough: break it off when you like, and start it
again.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from . import experiments  # noqa: F401  fills EXPERIMENTS
from .experiment import EXPERIMENTS, Experiment
from .page import write_page
from .processes import ForkServer, open_fork_server
from .result import Result
from .runner import run_trials
from .totals import store_totals, stored_totals


async def _run(chosen: dict[Experiment, list[str]], *, full: bool, add: bool, quick: bool) -> list[str]:
    """What was missed.  One experiment after another, each on all its stores at the same time."""
    totals = stored_totals() if add else {}
    missed: list[str] = []

    async def run_on(experiment: Experiment, kind: str, fork_server: ForkServer, turn: trio.CapacityLimiter) -> None:
        sums = totals.setdefault(experiment.name, {})
        while not full or sums.get(kind, Result()).trials < experiment.goal:
            began = time.monotonic()
            trials = 1 if quick else experiment.sample
            result = await run_trials(experiment, kind, trials, fork_server, turn, quick=quick)
            if not result.trials:
                missed.append(f"{experiment.name}, {kind}: not run: {result.words[0]}")
                return
            sums[kind] = sums.get(kind, Result()) + result
            _tell(experiment, kind, result, time.monotonic() - began)
            if add:
                store_totals(totals)
                write_page(totals, EXPERIMENTS)
            if not full:
                break
        missed.extend(f"{experiment.name}, {kind}: {what}" for what in experiment.missed(sums[kind]))

    async with open_fork_server() as fork_server:
        for experiment, kinds in chosen.items():
            turn = trio.CapacityLimiter(experiment.at_once)
            async with trio.open_nursery() as nursery:
                for kind in kinds:
                    nursery.start_soon(run_on, experiment, kind, fork_server, turn)
    return missed


def _tell(experiment: Experiment, kind: str, result: Result, seconds: float) -> None:
    missed = ", ".join(experiment.missed(result)) or "kept"
    print(f"{experiment.name} on {kind}: {result.trials} trials, {result.faults} faults, {result.jobs} jobs, {missed}")
    for words in result.words:
        print(f"    {words}")
    for name, samples in result.samples.items():
        if len(samples):
            quantiles = "  ".join(f"p{share:g} {samples.quantile(share / 100):.3g}" for share in (50, 99, 100))
            print(f"    {name}: {quantiles}  of {len(samples)}")
    for name, number in result.counts.items():
        print(f"    {name}: {number}")
    print(f"    {seconds:.0f} s", flush=True)


def main() -> int:
    """The exit code: 1 where a promise was broken, 130 after Ctrl-C, 143 after SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m property_tests.faults", description=__doc__)
    parser.add_argument("words", nargs="*", help="only experiments whose name, or store, has one of these words")
    parser.add_argument("--full", action="store_true", help="until each has been run often enough")
    parser.add_argument("--quick", action="store_true", help="one short trial of each, not added to the sums")
    parser.add_argument("--page", action="store_true", help="only write the page again, from the sums")
    options = parser.parse_args()
    if options.page:
        write_page(stored_totals(), EXPERIMENTS)
        return 0
    chosen = {
        each: kinds
        for each in EXPERIMENTS
        if (kinds := [kind for kind in each.stores if all(word in f"{each.name} on {kind}" for word in options.words)])
    }
    run = partial(_run, chosen, full=options.full, add=not options.quick, quick=options.quick)
    told, missed = trio.run(_until_told_to_end, run)
    for what in missed:
        print(f"MISSED: {what}")
    return told or (1 if missed else 0)


async def _until_told_to_end(run: Callable[[], Awaitable[list[str]]]) -> tuple[int, list[str]]:
    """What *run* answers, and 0; or nothing, and the exit code that a shell gives for the signal that ended it.

    Each trial that is under way ends its processes then, drops its folder, and is not in the sums; so does each server.
    """
    told, missed = 0, []
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                nonlocal told
                told = 128 + await anext(signals)
                nursery.cancel_scope.cancel()

            nursery.start_soon(listen)
            missed = await run()
            nursery.cancel_scope.cancel()
    return told, missed


if __name__ == "__main__":
    sys.exit(main())
