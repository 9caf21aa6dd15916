"""What a user can import: the promised names, where they say they live, and that each explains itself.

How they come to say so is `trioq._exports.publish`.  What they do is tested elsewhere.
"""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib.metadata import version
from types import FunctionType, ModuleType
from typing import Any, get_type_hints

import attrs
import pytest

import trioq
from trioq._core import errors
from trioq._exports import PUBLIC, publish

PROMISED = {
    "trioq": """
        Queue Task Call Job JobHandle Worker RateLimiter current_job Retry Snooze Reject
        Fixed Linear Exponential Steps Settings settings event_emitter
        InMemoryBackend SQLiteBackend RedisBackend PostgresBackend open_backend
        process_job _run_with_limits handle_job next_retry_delay
        abc lifecycle sandbox __version__
    """,
    "trioq.abc": "Backend",
    "trioq.lifecycle": """
        State Claim Complete Fail Reject Snooze Release Expire Cancel Reclaim Requeue
        IllegalStep Change step admit command_for next_retry_delay broken_rules TABLE
    """,
    "trioq.postgres": "connect Connection",
    "trioq.sandbox": "run_handler",
    "trioq.testing": "assert_enqueued",
}


def public(module: ModuleType) -> Iterator[tuple[str, type | FunctionType]]:
    """The classes and functions that the module offers to its importers."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    for name in names:
        value = getattr(module, name)
        if isinstance(value, (type, FunctionType)):
            yield name, value


EXPORTS = {
    f"{module_name}.{name}": value
    for module_name in PUBLIC
    for name, value in public(importlib.import_module(module_name))
}


def test_the_promised_names_are_there():
    promised = [(module_name, name) for module_name, names in PROMISED.items() for name in names.split()]
    assert {pair for pair in promised if not hasattr(importlib.import_module(pair[0]), pair[1])} == set()


def test_an_export_says_that_it_lives_in_a_public_module_which_has_it():
    homes = {path: sys.modules[value.__module__] for path, value in EXPORTS.items() if value.__module__ in PUBLIC}
    assert EXPORTS.keys() - homes.keys() == set()
    assert {
        path for path in homes if getattr(homes[path], EXPORTS[path].__qualname__, None) is not EXPORTS[path]
    } == set()


def test_an_export_is_found_by_pickle():
    assert {path for path, value in EXPORTS.items() if not is_found_by_pickle(value)} == set()


def is_found_by_pickle(value: type | FunctionType) -> bool:
    """Whether a reference to it leads back to it."""
    try:
        return pickle.loads(pickle.dumps(value)) is value
    except (pickle.PicklingError, AttributeError):
        return False


def test_an_export_explains_itself():
    assert {path for path, value in EXPORTS.items() if not (value.__doc__ or "").strip()} == set()


def test_what_a_class_offers_explains_itself_or_inherits_the_explanation():
    offered = {
        f"{path}.{member}": getattr(value, member)
        for path, value in EXPORTS.items()
        if isinstance(value, type)
        for member, raw in vars(value).items()
        if not member.startswith("_") and isinstance(raw, (FunctionType, property, classmethod, staticmethod))
    }
    assert {path for path, member in offered.items() if not inspect.getdoc(member)} == set()


def test_every_error_is_exported_and_has_the_one_root():
    every = {
        name: value for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert every == {name: getattr(trioq, name, None) for name in every}
    assert [name for name, value in every.items() if not issubclass(value, trioq.TrioqError)] == []


def test_the_version_is_the_one_that_was_installed():
    assert trioq.__version__ == version("trioq")


# --- publish ------------------------------------------------------------------------------------


def private(value: Any) -> Any:
    """The class or function as if a private module of trioq had defined it at its top level."""
    value.__module__, value.__qualname__ = "trioq._core.somewhere", value.__name__
    return value


def published(*values: Any, **named: Any) -> list[str]:
    """Where each of them lives after ``trioq`` has published them."""
    publish("trioq", {value.__name__: value for value in values} | named)
    return [value.__module__ for value in (*values, *named.values())]


def test_publish_moves_functions_enums_and_slotted_attrs_classes():
    def function() -> None: ...

    class Colour(StrEnum):
        RED = "red"

    @attrs.frozen
    class Value:
        x: int

    assert published(private(function), private(Colour), private(Value)) == ["trioq"] * 3
    assert Value(1) == attrs.evolve(Value(2), x=1)
    assert Colour("red") is Colour.RED


def test_publish_leaves_what_is_foreign_private_an_alias_or_published_already():
    class _Hidden: ...

    class Original: ...

    class Elsewhere: ...

    private(Elsewhere).__module__ = "trioq.lifecycle"
    assert published(Elsewhere, Callable, int, private(_Hidden), Alias=private(Original)) == [
        "trioq.lifecycle",
        "collections.abc",
        "builtins",
        "trioq._core.somewhere",
        "trioq._core.somewhere",
    ]


SOMEWHERE = """
from __future__ import annotations

class Leaf: ...

class Twig:
    tip: Leaf

class Tree:
    left: Leaf
    right: NameForTypeCheckers
"""


@pytest.fixture
def somewhere(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A private module whose classes are annotated with its own names."""
    module = ModuleType("trioq._core.somewhere")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(SOMEWHERE, vars(module))
    return module


def test_annotations_of_a_published_class_still_resolve(somewhere: ModuleType):
    assert published(somewhere.Twig) == ["trioq"]
    assert get_type_hints(somewhere.Twig) == {"tip": somewhere.Leaf}


def test_annotations_that_can_not_be_resolved_stay_as_they_were_written(somewhere: ModuleType):
    assert published(somewhere.Tree) == ["trioq"]
    assert somewhere.Tree.__annotations__ == {"left": "Leaf", "right": "NameForTypeCheckers"}
