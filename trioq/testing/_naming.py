"""Names of backend factories on a command line, ``module:factory``: from a name to its factory, and back."""

from __future__ import annotations

import importlib
import sys

from ._given import Make


def named(reference: str) -> Make:
    """The factory that ``module:factory`` names; ValueError says what is wrong with the name."""
    module, _, factory = reference.partition(":")
    if not (module and factory):
        raise ValueError(f"name a backend as module:factory, such as dict_backend:DictBackend, not {reference!r}")
    try:
        found: Make = getattr(importlib.import_module(module), factory)
    except ImportError as error:
        raise ValueError(f"{module!r} can't be imported ({error}). Is its folder on PYTHONPATH?") from error
    except AttributeError as error:
        raise ValueError(f"{module!r} has no {factory!r}") from error
    if not callable(found):
        raise ValueError(f"{reference} can't be called: it should answer a new backend over an empty store")
    return found


def name_of(make: Make) -> str | None:
    """The name by which another process finds the factory too; None where it has none."""
    module, name = getattr(make, "__module__", ""), getattr(make, "__qualname__", "")
    if module == "__main__" or getattr(sys.modules.get(module), name, None) is not make:
        return None
    return f"{module}:{name}"
