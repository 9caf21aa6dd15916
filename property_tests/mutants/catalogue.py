"""The parts of trioq that are broken on purpose: the mutants of each, and who is asked to notice them.

Whoever answers fastest is asked first.  What is asked last would have been enough for most: the order is for speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Final

import attrs

from . import blind, core, memory, postgres, redis, sqlite, worker
from .catchers import Catcher, Properties, Tests, Worlds
from .mutant import Mutant

#: The properties of a module of the core, where they don't go by its name alone.
_SUITES: Final = {
    "job": ("lifecycle",),
    "fidelity": ("payload",),
}

#: The properties of a module of the API, where it has some: the others are asked of whole worlds.
_OF_THE_API: Final = {
    "_bus": Properties("properties of events", 60, ("events",)),
    "_task": Properties("properties of options", 60, ("options",)),
}

_BACKENDS: Final = ("memory", "sqlite")
_CONTRACT: Final = {
    name: Properties(f"the contract on {name}", 60, ("conformance",), name, of="checks") for name in _BACKENDS
}
_PROGRAMS: Final = {
    name: Properties(f"programs on {name}", 120, ("backend_matches_model",), name, of="programs") for name in _BACKENDS
}
#: A world over SQLite takes twice as long as one over memory, and what a worker does is the same there.
_WORLDS: Final = {
    "memory": Worlds("worlds on memory", 240, "memory", 300),
    "sqlite": Worlds("worlds on sqlite", 240, "sqlite", 100),
}
#: A server runs in real time, so no world has it: an ordinary test asks it the contract.  Of each kind one is asked.
_OF_A_SERVER: Final = {
    "redis": (
        Tests("the contract on Redis", 120, "backends/test_conformance.py", "valkey"),
        Properties("programs on Redis", 240, ("redis_matches_model",), "valkey", of="programs"),
        Tests("tests of Redis", 300, "backends", "test_redis and not redis-6.2"),
    ),
    "postgres": (
        Tests("the contract on PostgreSQL", 120, "backends/test_conformance.py", "postgresql-18"),
        Tests("tests of transactions", 60, "api/test_within.py"),
        Tests("tests of PostgreSQL", 300, "backends", "test_postgres and (18 or not postgresql)"),
        Properties("programs on PostgreSQL", 240, ("postgres_matches_model",), "18", of="programs"),
    ),
}
#: Modules of the worker that no world uses.
_OF_NO_WORLD: Final = ("functions", "threads")
_CORNERS: Final = Properties("corners", 60, ("corners",), "memory", of="corners")


def _of_the_core(mutant: Mutant) -> Sequence[Catcher]:
    module = PurePath(mutant.file).stem
    properties = Properties(f"properties of {module}", 60, _SUITES.get(module, (module,)))
    return [properties, _CONTRACT["memory"], _WORLDS["memory"]]


def _of_a_backend(mutant: Mutant) -> Sequence[Catcher]:
    for kind, of_it in _OF_A_SERVER.items():
        if kind in mutant.file:
            return of_it
    name = "sqlite" if "sqlite" in mutant.file else "memory"
    return [_CONTRACT[name], _PROGRAMS[name], _WORLDS[name], Tests("tests of backends", 200, "backends")]


def _of_workers(mutant: Mutant) -> Sequence[Catcher]:
    tests = Tests("tests of workers", 100, "worker")
    return [tests] if PurePath(mutant.file).stem in _OF_NO_WORLD else [_WORLDS["memory"], _CORNERS, tests]


def _of_the_api(mutant: Mutant) -> Sequence[Catcher]:
    properties = _OF_THE_API.get(PurePath(mutant.file).stem)
    return [*([properties] if properties else []), _WORLDS["memory"], Tests("tests of the API", 100, "api")]


#: By the folder that a file is in.
_BY_FOLDER: Final[dict[str, Callable[[Mutant], Sequence[Catcher]]]] = {
    "_core": _of_the_core,
    "backends": _of_a_backend,
    "_worker": _of_workers,
}


def catchers(mutant: Mutant) -> Sequence[Catcher]:
    """Who is asked, one after another, until somebody notices."""
    return _BY_FOLDER.get(PurePath(mutant.file).parts[0], _of_the_api)(mutant)


@attrs.frozen
class Part:
    """Some mutants that were thought of together."""

    title: str
    mutants: Sequence[Mutant]


PARTS: Final = (
    Part("The pure core", core.MUTANTS),
    Part("The memory backend", memory.MUTANTS),
    Part("The SQLite backend", sqlite.MUTANTS),
    Part("The Redis backend", redis.MUTANTS),
    Part("The PostgreSQL backend", postgres.MUTANTS),
    Part("Workers", worker.MUTANTS),
    Part("By somebody who has not seen the properties", blind.MUTANTS),
)


def every_mutant() -> Iterator[Mutant]:
    """Those of all parts."""
    for part in PARTS:
        yield from part.mutants
