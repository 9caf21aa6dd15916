"""Break copies of the tree, again and again, and see what notices: ``python -m property_tests.mutants [word ...]``.

Words pick the mutants whose part, name or file contains one of them.  Exit code 1 where one survives.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from compileall import compile_dir
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from py_compile import PycInvalidationMode
from tempfile import TemporaryDirectory
from typing import Final

import attrs
import trio

from .catalogue import PARTS, Part, catchers
from .catchers import Broken, Catch, Catcher
from .mutant import Mutant
from .report import Finding, write_page

ROOT: Final = Path(__file__).resolve().parents[2]


@attrs.frozen
class Trees:
    """Copies of the tree, each for one mutant at a time."""

    _paths: list[Path]
    _free: trio.CapacityLimiter

    @classmethod
    @contextmanager
    def made(cls, count: int) -> Iterator[Trees]:
        """So many of them."""
        with TemporaryDirectory(prefix="trioq-mutants-") as folder:
            yield cls([_copy(Path(folder, str(number))) for number in range(count)], trio.CapacityLimiter(count))

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Path]:
        """Wait until one of them is free."""
        async with self._free:
            tree = self._paths.pop()
            try:
                yield tree
            finally:
                self._paths.append(tree)


def _copy(tree: Path) -> Path:
    for part in ("trioq", "property_tests", "tests"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "docs/spec/numbers.txt"):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tree / file)
    for source in (tree / "trioq").rglob("*.py"):  # so that a mutant's file differs by its fault alone
        source.write_text(ast.unparse(ast.parse(source.read_text(encoding="utf-8"))) + "\n", encoding="utf-8")
    # By their content: a broken file may be as long, and as old to the second, as the right one.
    compile_dir(tree, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return tree


async def try_one(part: Part, mutant: Mutant, trees: Trees) -> Finding:
    """Make the fault, run catchers until one notices, and mend it."""
    async with trees.one() as tree:
        begun = time.monotonic()
        source = mutant.source(tree)
        right = source.read_text(encoding="utf-8")
        catch, trouble = None, ""
        try:
            source.write_text(mutant.apply(right), encoding="utf-8")
            catch = await _first(catchers(mutant), tree)
        except Broken as error:
            trouble = str(error)
        finally:
            source.write_text(right, encoding="utf-8")
        return Finding(part.title, mutant, catch, time.monotonic() - begun, trouble)


async def _first(catchers: Iterable[Catcher], tree: Path) -> Catch | None:
    for catcher in catchers:
        catch = await catcher.run(tree)
        if catch is not None:
            return catch
    return None


async def require_green(parts: Sequence[Part], trees: Trees) -> None:
    """A catcher that notices something in the tree as it is says nothing about mutants."""
    noticed = []

    async def ask(catcher: Catcher) -> None:
        async with trees.one() as tree:
            catch = await catcher.run(tree)
        if catch is not None:
            noticed.append(f"no fault is made yet, and {catcher.name} notice: {catch.by}")

    async with trio.open_nursery() as nursery:
        for catcher in dict.fromkeys(each for part in parts for mutant in part.mutants for each in catchers(mutant)):
            nursery.start_soon(ask, catcher)
    if noticed:
        sys.exit("\n".join(noticed))


async def run(parts: Sequence[Part], at_once: int) -> list[Finding]:
    """Try all mutants of these parts, and print each finding as it comes; the list has them in the parts' order."""
    findings: dict[Mutant, Finding] = {}

    async def find(part: Part, mutant: Mutant) -> None:
        findings[mutant] = await try_one(part, mutant, trees)
        print(_line(findings[mutant]), flush=True)  # noqa: T201 - it is a script

    with Trees.made(at_once) as trees:
        await require_green(parts, trees)
        async with trio.open_nursery() as nursery:
            for part in parts:
                for mutant in part.mutants:
                    nursery.start_soon(find, part, mutant)
    return [findings[mutant] for part in parts for mutant in part.mutants]


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
    parser.add_argument("--jobs", type=int, default=max(2, os.cpu_count() or 1), help="mutants at once (%(default)s)")
    parser.add_argument("--write", action="store_true", help="write the tables of docs/spec/mutants.rst; takes no word")
    options = parser.parse_args()
    if options.write and options.words:
        parser.error("the tables are about all mutants: --write takes no word")
    parts = picked(options.words)
    if not parts:
        parser.error("no mutant has such a word")
    begun = time.monotonic()
    findings: list[Finding] = []
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell made us ignore it
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        findings = trio.run(run, parts, options.jobs)
    except* KeyboardInterrupt:
        pass
    if not findings:
        sys.exit(130)
    survivors = [finding for finding in findings if finding.catch is None]
    print(f"{len(findings)} mutants, {len(survivors)} survived, {time.monotonic() - begun:.0f} s")  # noqa: T201
    if options.write and not survivors:
        write_page(ROOT / "docs" / "spec" / "mutants.rst", findings)
    sys.exit(1 if survivors else 0)
