"""``python -m benchmarks [WORDS]``: trioq and its peers side by side, in one run, in turn.

Words pick contenders and workloads: ``bullmq drain`` runs trioq and BullMQ, and what drains.  With ``--page`` only the
page is written again, from the stored results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from .contenders import CONTENDERS, Contender
from .environments import NotInstalled
from .page import PAGE, RESULTS, better, page
from .page import number as rounded
from .picture import PICTURE, picture
from .programs import Unsupported
from .results import Measured, Results, this_machine
from .signals import undisturbed, unwind_when_told_to_end
from .stores import STORES, Store
from .trial import Trial
from .workloads import WORKLOADS, Workload

#: The share of the jobs that a quick run has.
_QUICK: Final = 0.4


def pick(words: Sequence[str], quick: bool) -> tuple[list[Contender], list[Workload]]:
    """Whom and what the words name; trioq is always there, on the stores of the others.  No word of a kind: all."""
    words = [word.lower() for word in words]
    workloads = [each for each in WORKLOADS if any(word in each.name.lower() for word in words)]
    named = [each for each in CONTENDERS if any(word in each.name.lower() for word in words)]
    unknown = [word for word in words if not any(word in each.name.lower() for each in (*WORKLOADS, *CONTENDERS))]
    if unknown:
        names = ", ".join(each.name for each in (*CONTENDERS, *WORKLOADS))
        raise SystemExit(f"Nothing is called {', '.join(unknown)}. There are: {names}.")
    stores = {each.store for each in named}
    contenders = [each for each in CONTENDERS if each in named or (each.is_trioq and each.store in stores)]
    return contenders or list(CONTENDERS), workloads or [each for each in WORKLOADS if each.quick or not quick]


def install(contenders: Sequence[Contender], results: Results) -> list[Contender]:
    """Those that could be."""
    there = []
    for each in contenders:
        print(f"installing {each.name} ...", end=" ", flush=True)
        try:
            each.environment.install()
            results.versions[each.name] = each.environment.versions()
        except NotInstalled as why:
            print(f"not installed: {why}")
            results.missing[each.name] = str(why)
            continue
        print(", ".join(" ".join(pair) for pair in results.versions[each.name].items()))
        there.append(each)
    return there


def open_stores(contenders: Sequence[Contender], stack: ExitStack) -> dict[str, Store]:
    """Those that they need, by name."""
    stores: dict[str, Store] = {}
    for name in dict.fromkeys(each.store for each in contenders):
        with undisturbed():
            stores[name] = STORES[name]()
            stack.callback(undisturbed()(stores[name].close))
    return stores


def takers(workload: Workload, contenders: Sequence[Contender], results: Results, number: int) -> list[Contender]:
    """Who takes part, and could do it in the rounds before; each round in the other direction than the one before."""
    return [
        each
        for each in contenders
        if each.store in workload.stores
        and each.name in (workload.only or [each.name])
        and not results.unsupported(workload.name, each.name)
    ][:: -1 if number % 2 else 1]


def measure(workload: Workload, contender: Contender, store: Store, number: int, share: float) -> Measured:
    """One trial."""
    try:
        return Measured(workload.name, contender.name, number, workload.measure(Trial.on(store, contender, share)))
    except Unsupported as why:
        return Measured(workload.name, contender.name, number, unsupported=str(why))
    except Exception as why:  # an hour's run does not end with one trial
        return Measured(workload.name, contender.name, number, failed=f"{type(why).__name__}: {why}")


def tell(measured: Measured) -> None:
    """Print it."""
    figures = "  ".join(f"{name} {rounded(value)}" for name, value in measured.figures.items())
    print(f"  {measured.contender:20} {figures or measured.unsupported or 'FAILED: ' + measured.failed}", flush=True)


def tell_ratios(results: Results, contenders: Sequence[Contender], workloads: Sequence[Workload]) -> None:
    """Print how trioq compares."""
    for workload in workloads:
        for each in contenders:
            ratio = better(results, workload, each)
            if ratio is not None:
                spread = f" ({ratio.ends[0]:.2f} to {ratio.ends[1]:.2f})" if len(ratio.values) > 1 else ""
                what = f"{ratio.median:7.2f}{spread} times as good as {each.name}"
                print(f"{workload.name:24} by {workload.figure:16} trioq is {what}")


def main() -> int:
    """The exit code: 1 where a trial failed, 130 after Ctrl-C, 143 after SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("words", nargs="*", help="parts of the names of contenders and workloads")
    parser.add_argument("--quick", action="store_true", help="a few workloads, fewer jobs, one round")
    parser.add_argument("--rounds", type=_one_or_more, help="how often each is measured: 3, or 1 in a quick run")
    parser.add_argument("--output", type=Path, help=f"where results go; {RESULTS.name} in the docs, if everything runs")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    options = parser.parse_args()
    if options.page:
        write_page()
        return 0
    unwind_when_told_to_end()
    contenders, workloads = pick(options.words, options.quick)
    everything = not (options.quick or options.words)
    output = options.output or (RESULTS if everything else None)
    results = Results(this_machine())
    contenders = install(contenders, results)
    with ExitStack() as stack:
        stores = open_stores(contenders, stack)
        results.stores = {name: store.told() for name, store in stores.items()}
        for number in range(options.rounds or (1 if options.quick else 3)):
            for workload in workloads:
                if number and workload.once:
                    continue
                print(f"round {number + 1}: {workload.name}", flush=True)
                for contender in takers(workload, contenders, results, number):
                    share = _QUICK if options.quick else 1.0
                    results.trials.append(measure(workload, contender, stores[contender.store], number, share))
                    tell(results.trials[-1])
                if output is not None:
                    results.store(output)
    tell_ratios(results, contenders, workloads)
    if output == RESULTS:
        write_page()
        print(f"The page is {PAGE}.")
    elif output is None:
        print("Nothing was stored: --output FILE does that, or a run of everything.")
    return 1 if any(each.failed for each in results.trials) else 0


def _one_or_more(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"a number of rounds is 1 or more, not {word!r}")
    return int(word)


def write_page() -> None:
    """Write the page and its picture from the stored results."""
    results = Results.load(RESULTS)
    PAGE.write_text(page(results))
    PICTURE.write_text(picture(results))


if __name__ == "__main__":
    sys.exit(main())
