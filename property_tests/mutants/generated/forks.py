"""Try generated mutants of the pure core, each in a fork of this process.

There are hundreds, and the properties need a moment only.  So the process imports once what does not change, each fork
imports the mutant and the properties anew and calls these itself: pytest would take longer to start than they take.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from inspect import isclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Final
from unittest import TestCase

import attrs
from hypothesis import settings

from .made import Generated

#: Whom to ask about each module.  Who knows the smallest part comes first: it is the fastest.
ASKED: Final = {
    "lifecycle": ("table", "lifecycle"),
    "backoff": ("backoff_fields", "backoff", "outcome"),
}

#: Mutants at once.
_AT_ONCE: Final = 2
#: Of processor time.  A mutant that makes a property hang is noticed by just that.
_SECONDS: Final = 60


@attrs.frozen
class Finding:
    """What became of a mutant."""

    mutant: Generated
    by: str | None  #: the property that noticed it; None where it survived


def preload() -> None:
    """Import what the forks need."""
    for suites in ASKED.values():
        for suite in suites:
            import_module(f"property_tests.test_{suite}")


def tried(mutants: Iterable[Generated]) -> Iterator[Finding]:
    """Try them, a few at once; in the order in which they end."""
    forks = get_context("fork")
    running: dict[Any, tuple[Any, Connection, Generated]] = {}
    todo = iter(mutants)
    while True:
        while len(running) < _AT_ONCE and (mutant := next(todo, None)) is not None:
            receiver, sender = forks.Pipe(duplex=False)
            process = forks.Process(target=_try, args=(mutant, sender))
            process.start()
            sender.close()
            running[process.sentinel] = process, receiver, mutant
        if not running:
            return
        for ended in wait(list(running)):
            process, receiver, mutant = running.pop(ended)
            process.join()
            with receiver:
                yield Finding(mutant, receiver.recv() if process.exitcode == 0 else "an end before its time")


# --- in the fork --------------------------------------------------------------------------------


def _try(mutant: Generated, sender: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout = sys.stderr = nowhere
        sender.send(_noticed(mutant))


def _noticed(mutant: Generated) -> str | None:
    """Which property notices it; None where none does.  Nothing is mended: the process has to end after it."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("trioq", "property_tests")]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Changed(mutant))
    asked = "the import"
    try:
        import_module("property_tests.conftest")  # has the profile
        # The same examples each time, so that the page changes only where the code or a property does.
        settings.register_profile("look", settings.get_profile("mutants"), derandomize=True)
        settings.register_profile("glance", settings.get_profile("look"), max_examples=5)
        for profile in ("glance", "look"):  # most mutants are noticed at a glance
            settings.load_profile(profile)
            for suite in ASKED[mutant.module]:
                for name, ask in _properties(suite, machines=profile == "look"):
                    asked = name
                    ask()
    except BaseException:  # pytest.raises is disappointed by one that is no Exception
        return asked
    return None


def _properties(suite: str, *, machines: bool) -> Iterator[tuple[str, Any]]:
    """Whom to ask; state machines come last, since they take the longest, or not at all."""
    tests = vars(import_module(f"property_tests.test_{suite}"))
    for name, test in tests.items():
        if name.startswith("test_"):
            yield name.removeprefix("test_").replace("_", " "), test
    for name, machine in tests.items():
        if machines and name.startswith("Test") and isclass(machine) and issubclass(machine, TestCase):
            yield f"the machine {name.removeprefix('Test')}", machine("runTest").runTest


class _Changed(MetaPathFinder, InspectLoader):
    """Imports one module from the text of a mutant."""

    def __init__(self, mutant: Generated) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        return spec_from_loader(name, self) if name == f"trioq._core.{self._mutant.module}" else None

    def get_source(self, name: str) -> str:
        return self._mutant.code
