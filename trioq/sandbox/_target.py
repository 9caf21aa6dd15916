"""Which function a process is to run, by name: checked where a task is made, looked up in its process."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any, Final, Self

import attrs

from .._core.errors import BadTask

#: The program's own file is imported under this name, so that the code under its guard does not run again.
MAIN: Final = "__trioq_main__"


@attrs.frozen
class Target:
    """A function that another process can import."""

    module: str
    qualname: str
    #: The program's file, for a function that lives in ``__main__``.
    main_path: str | None = None

    def __str__(self) -> str:
        return f"{self.module}.{self.qualname}"

    @classmethod
    def of(cls, fn: Callable[..., object]) -> Self:
        """Name *fn*; BadTask where no other process could import it by that name."""
        module, qualname = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
        if not module or not qualname or "<" in qualname:
            raise BadTask(
                fn,
                "sandbox=True imports it by name in another process, which can't see a closure, a lambda or an object. "
                "Define it with `def` at the top level of a module",
            )
        if module != "__main__":
            return cls(module, qualname)
        main = sys.modules["__main__"]
        path = Path(getattr(main, "__file__", ""))
        if not path.is_file():
            raise BadTask(
                fn, "sandbox=True imports it in another process, and this __main__ has no file. Move it to a module"
            )
        if not _has_guard(path):
            raise BadTask(
                fn,
                f"sandbox=True imports {path} in another process, which would run the whole program again. "
                'Put what starts it under `if __name__ == "__main__":`, or move the task to a module',
            )
        spec = getattr(main, "__spec__", None)
        if spec is not None and spec.name != "__main__":  # python -m: it has a name by which it can be imported
            return cls(spec.name, qualname)
        return cls(module, qualname, str(path.absolute()))

    def load(self) -> Callable[..., Any]:
        """Import the function; where a Task has taken its name, the function of that Task.

        Raises whatever the module raises; AttributeError where it has no such name.
        """
        found: Any = importlib.import_module(self.module) if self.main_path is None else _import_main(self.main_path)
        for name in self.qualname.split("."):
            found = getattr(found, name)
        function: Callable[..., Any] = getattr(found, "fn", found)
        return function


@lru_cache
def _has_guard(path: Path) -> bool:
    """Whether the file tells a run from an import: it has an ``if`` on ``__name__`` and ``"__main__"``."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    return any(_is_guard(node.test) for node in ast.walk(tree) if isinstance(node, ast.If))


def _is_guard(test: ast.expr) -> bool:
    parts = list(ast.walk(test))
    return any(isinstance(part, ast.Name) and part.id == "__name__" for part in parts) and any(
        isinstance(part, ast.Constant) and part.value == "__main__" for part in parts
    )


def _import_main(path: str) -> Any:
    """The program's file as a module, once.  It is in ``sys.modules``: annotations are looked up there."""
    if MAIN not in sys.modules:
        loader = SourceFileLoader(MAIN, path)
        spec = ModuleSpec(MAIN, loader, origin=path)
        spec.has_location = True
        module = sys.modules[MAIN] = module_from_spec(spec)
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules[MAIN]
            raise
    return sys.modules[MAIN]
