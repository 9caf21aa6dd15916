"""Where a public name lives: its `__module__`, as tracebacks, reprs and docs show it.

Nothing of the queue itself is here; this module imports nothing of trioq.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import get_annotations
from types import FunctionType
from typing import Any, Final, get_type_hints

#: The modules that a user imports from.  `tests/test_exports.py` walks them.
PUBLIC: Final = (
    "trioq",
    "trioq.abc",
    "trioq.events",
    "trioq.lifecycle",
    "trioq.postgres",
    "trioq.sandbox",
    "trioq.testing",
)


def publish(module_name: str, namespace: Mapping[str, Any]) -> None:
    """Make the public classes and functions in *namespace* say that they live in *module_name*.

    The last line of each public module: ``publish(__name__, globals())``.  Only what trioq defines is touched, and
    only under its own name, so that a pickle finds it.  What another public module has published stays there.
    """
    for name, value in namespace.items():
        if name.startswith("_") or not isinstance(value, (type, FunctionType)):
            continue
        home = value.__module__
        if value.__qualname__ != name or home in PUBLIC or home.partition(".")[0] != "trioq":
            continue
        if isinstance(value, type):
            _keep_hints(value)
        value.__module__ = module_name


def _keep_hints(cls: type) -> None:
    """Evaluate the class's string annotations while its `__module__` still names the module they were written in.

    Later, `typing.get_type_hints` (msgspec and autodoc call it) would look their names up in the public module.
    """
    own = get_annotations(cls)
    if not own:
        return
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError:  # names that only a type checker imports: they could not be evaluated before, either
        return
    cls.__annotations__ = {name: hints[name] for name in own}
