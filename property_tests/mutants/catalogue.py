"""The parts of trioq that are broken on purpose: the mutants of each, and the catchers that are to notice them.

The fastest catcher runs first.  The last one would notice most mutants by itself: the order saves time.
Seconds are several times what a catcher takes on an idle machine: few faults make one hang.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Final

import attrs

from . import blind, core, memory, postgres, redis, servers, sqlite, worker
from .catchers import Catcher, Properties, Tests, Worlds
from .mutant import Mutant

#: The properties of a module of the core, where they don't go by its name alone.
_SUITES: Final = {
    "job": ("lifecycle",),
    "roundtrip": ("payload",),
}

#: The properties of a module of the API, where it has some: only worlds and tests look at the others.
_OF_THE_API: Final = {
    "_bus": Properties("properties of events", 300, ("events",)),
    "_task": Properties("properties of options", 300, ("options",)),
}

_BACKENDS: Final = ("memory", "sqlite")
_CONTRACT: Final = {
    name: Properties(f"the contract on {name}", 300, ("conformance",), name, of="checks") for name in _BACKENDS
}
_PROGRAMS: Final = {
    name: Properties(f"programs on {name}", 600, ("backend_matches_model",), name, of="programs") for name in _BACKENDS
}
#: A world over SQLite takes twice as long as one over memory, and what a worker does is the same there.
_WORLDS: Final = {
    "memory": Worlds("worlds on memory", 600, "memory", 150),
    "sqlite": Worlds("worlds on sqlite", 600, "sqlite", 75),
}
#: These notice most faults of a worker; the tests take less time than many more worlds.
_FIRST_WORLDS: Final = Worlds("the first worlds on memory", 300, "memory", 40)
#: A server runs in real time, so no world has one: an ordinary test checks the contract on one server of each kind.
_OF_A_SERVER: Final = {
    "redis": (
        Tests("the contract on Redis", 300, "backends/test_conformance.py", "valkey"),
        Properties("programs on Redis", 600, ("redis_matches_model",), "valkey", of="programs"),
        Tests("tests of Redis", 900, "backends", "test_redis and not redis-6.2"),
    ),
    "postgres": (
        Tests("the contract on PostgreSQL", 300, "backends/test_conformance.py", "postgresql-18"),
        Tests("tests of transactions", 300, "api/test_transaction.py"),
        Tests("tests of PostgreSQL", 900, "backends", "test_postgres and (18 or not postgresql)"),
        Properties("programs on PostgreSQL", 600, ("postgres_matches_model",), "18", of="programs"),
    ),
}
#: Of a module of a backend for a server, the test files that are about it; of all others, they are about the store.
_TEST_FILES: Final = {
    "notify_limiter": "hints",
    "backend": "outages or store",
    "client": "link or ctrl_c",
    "connection": "connection",
    "errors": "errors or outages",
    "schema": "migrations",
    "listener": "listener or hints or pooler",
    "request_runner": "requests",
    "renew": "losses",
}
#: What the backends for servers share is used by both.
_OF_SERVERS: Final = (
    Tests("tests of Ctrl-C", 300, "backends/test_ctrl_c.py"),
    *(catchers[0] for catchers in _OF_A_SERVER.values()),
    Tests("tests of requests to servers", 600, "backends", "(postgres_requests or redis_requests) and not redis-6.2"),
)
#: Modules of the worker that no world uses.
_OF_NO_WORLD: Final = ("asyncmq_api", "threads")
_CORNERS: Final = Properties("corners", 300, ("corners",), "memory", of="corners")


def _of_the_core(mutant: Mutant) -> Sequence[Catcher]:
    module = PurePath(mutant.file).stem
    properties = Properties(f"properties of {module}", 300, _SUITES.get(module, (module,)))
    return [properties, _CONTRACT["memory"], _WORLDS["memory"]]


def _of_a_backend(mutant: Mutant) -> Sequence[Catcher]:
    for kind, (contract, *others) in _OF_A_SERVER.items():
        if kind in mutant.file:
            files = _TEST_FILES.get(PurePath(mutant.file).stem, "store or refusals")
            word = f"({kind} or ctrl_c) and ({files}) and not redis-6.2 and not postgresql-16"
            return [contract, Tests(f"the tests about {files} on {kind}", 600, "backends", word), *others]
    if PurePath(mutant.file).name.startswith("_"):
        return _OF_SERVERS
    name = "sqlite" if "sqlite" in mutant.file else "memory"
    return [_CONTRACT[name], Tests(f"tests of {name}", 600, "backends", f"test_{name}"), _PROGRAMS[name], _WORLDS[name]]


def _of_workers(mutant: Mutant) -> Sequence[Catcher]:
    tests = Tests("tests of workers", 600, "worker")
    if PurePath(mutant.file).stem in _OF_NO_WORLD:
        return [tests]
    return [_FIRST_WORLDS, _CORNERS, tests, _WORLDS["memory"]]


def _of_the_api(mutant: Mutant) -> Sequence[Catcher]:
    properties = _OF_THE_API.get(PurePath(mutant.file).stem)
    tests = Tests("tests of the API", 600, "api")
    return [*([properties] if properties else []), _FIRST_WORLDS, tests, _WORLDS["memory"]]


#: By the folder that a file is in.
_BY_FOLDER: Final[dict[str, Callable[[Mutant], Sequence[Catcher]]]] = {
    "_core": _of_the_core,
    "backends": _of_a_backend,
    "_worker": _of_workers,
}


def catchers(mutant: Mutant) -> Sequence[Catcher]:
    """What runs, one after the other, until one notices the mutant."""
    return _BY_FOLDER.get(PurePath(mutant.file).parts[0], _of_the_api)(mutant)


@attrs.frozen
class Part:
    """Some mutants, under a title."""

    title: str
    mutants: Sequence[Mutant]


PARTS: Final = (
    Part("The pure core", core.MUTANTS),
    Part("The memory backend", memory.MUTANTS),
    Part("The SQLite backend", sqlite.MUTANTS),
    Part("The Redis backend", redis.MUTANTS),
    Part("The PostgreSQL backend", postgres.MUTANTS),
    Part("What the backends for servers share", servers.MUTANTS),
    Part("Workers", worker.MUTANTS),
    Part("By an author who had not seen the properties", blind.MUTANTS),
)


def every_mutant() -> Iterator[Mutant]:
    """Those of all parts."""
    for part in PARTS:
        yield from part.mutants
