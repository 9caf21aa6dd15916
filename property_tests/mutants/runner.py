"""Break a copy of the tree, again and again, and see who notices: ``python -m property_tests.mutants [word ...]``.

Words pick the mutants whose part, name or file contains one of them.  Exit code 1 where one survives.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from compileall import compile_dir
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Final

import attrs

from .catalogue import PARTS, Part, catchers
from .catchers import Broken, Catch, Catcher
from .mutant import Mutant
from .report import Finding, write_page

ROOT: Final = Path(__file__).resolve().parents[2]

#: Mutants at once.
_AT_ONCE: Final = 2


@contextmanager
def copies(count: int) -> Iterator[SimpleQueue[Path]]:
    """Trees to break, each for one at a time."""
    trees: SimpleQueue[Path] = SimpleQueue()
    with TemporaryDirectory(prefix="mutants-") as folder:
        for number in range(count):
            tree = Path(folder, str(number))
            for part in ("trioq", "property_tests", "tests"):
                shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
            for file in ("pyproject.toml", "docs/spec/numbers.txt"):
                (tree / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, tree / file)
            # By their content: a broken file may be as long, and as old to the second, as the right one.
            compile_dir(tree, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
            trees.put(tree)
        yield trees


def try_one(part: Part, mutant: Mutant, trees: SimpleQueue[Path]) -> Finding:
    """Make the fault, ask until somebody notices, and mend it."""
    begun = time.monotonic()
    tree = trees.get()
    source = mutant.source(tree)
    right = source.read_text(encoding="utf-8")
    catch, trouble = None, ""
    try:
        source.write_text(mutant.apply(right), encoding="utf-8")
        catch = _first(catchers(mutant), tree)
    except Broken as error:
        trouble = str(error)
    finally:
        source.write_text(right, encoding="utf-8")
        trees.put(tree)
    return Finding(part.title, mutant, catch, time.monotonic() - begun, trouble)


def _first(catchers: Iterable[Catcher], tree: Path) -> Catch | None:
    return next((catch for catcher in catchers if (catch := catcher.ask(tree)) is not None), None)


def require_green(parts: Sequence[Part], trees: SimpleQueue[Path]) -> None:
    """Whoever finds fault with the tree as it is can't be asked about another."""
    everybody = list(dict.fromkeys(each for part in parts for mutant in part.mutants for each in catchers(mutant)))
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for catcher, catch in zip(everybody, threads.map(lambda it: _ask_green(it, trees), everybody), strict=True):
            if catch is not None:
                raise SystemExit(f"nothing is broken on purpose yet, and {catcher.name} finds: {catch.by}")


def _ask_green(catcher: Catcher, trees: SimpleQueue[Path]) -> Catch | None:
    tree = trees.get()
    try:
        return catcher.ask(tree)
    finally:
        trees.put(tree)


def run(parts: Sequence[Part]) -> list[Finding]:
    """Try all mutants of these parts; each finding is printed as it comes."""
    with copies(_AT_ONCE) as trees, ThreadPoolExecutor(_AT_ONCE) as threads:
        require_green(parts, trees)
        tries = [threads.submit(try_one, part, mutant, trees) for part in parts for mutant in part.mutants]
        findings = []
        for done in tries:
            findings.append(finding := done.result())
            print(_line(finding), flush=True)  # noqa: T201 - it is a script
        return findings


def _line(finding: Finding) -> str:
    catch = finding.catch
    mutant = f"{finding.mutant.name} ({finding.mutant.file}), {finding.seconds:.0f} s"
    if catch is None:
        return f"SURVIVED  {mutant}" + (f"\n{finding.trouble}" if finding.trouble else "")
    return f"caught    {mutant}\n          by: {catch.by}, after {catch.examples} {catch.of}"


def picked(words: Sequence[str]) -> list[Part]:
    """The parts, each with the mutants that a word picks; all of them where there is none."""
    parts = []
    for part in PARTS:
        mutants = [it for it in part.mutants if _matches(f"{part.title} {it.name} {it.file}".lower(), words)]
        if mutants:
            parts.append(attrs.evolve(part, mutants=mutants))
    return parts


def _matches(line: str, words: Sequence[str]) -> bool:
    return not words or any(word.lower() in line for word in words)


def main() -> None:
    """Try the mutants that the command line names, and write the tables if it says so."""
    parser = argparse.ArgumentParser(prog="python -m property_tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="word")
    parser.add_argument("--write", action="store_true", help="write the tables of docs/spec/mutants.rst; takes no word")
    options = parser.parse_args()
    if options.write and options.words:
        parser.error("the tables are about all mutants: --write takes no word")
    parts = picked(options.words)
    if not parts:
        parser.error("no mutant has such a word")
    begun = time.monotonic()
    findings = run(parts)
    survivors = [finding for finding in findings if finding.catch is None]
    print(f"{len(findings)} mutants, {len(survivors)} survived, {time.monotonic() - begun:.0f} s")  # noqa: T201
    if options.write and not survivors:
        write_page(ROOT / "docs" / "spec" / "mutants.rst", findings)
    sys.exit(1 if survivors else 0)
