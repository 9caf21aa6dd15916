"""Finds the Worker or the Queue that MODULE:ATTRIBUTE names in an application."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from types import ModuleType

from .._core.errors import TrioqError
from .._queue import Queue
from .._worker.worker import Worker


class CannotLoad(TrioqError):
    """The target names nothing that can be run."""

    def __init__(self, target: str, why: str) -> None:
        self.target, self.why = target, why
        super().__init__(f"cannot run {target!r}: {why}")


def load(target: str) -> Worker | Queue:
    """What *target* names, also in the current directory.  CannotLoad, with the way to mend it."""
    module_name, colon, attribute = target.partition(":")
    if not (module_name and colon and attribute):
        raise CannotLoad(target, "write MODULE:ATTRIBUTE, as in: trioq worker app:worker")
    module = _import(target, module_name)
    found: object = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise CannotLoad(target, f"{_name(found)} has no {name!r}{_instead(module, name)}")
        found = getattr(found, name)
    if not isinstance(found, (Worker, Queue)):
        raise CannotLoad(target, f"it is a {type(found).__name__}, not a Worker or a Queue{_instead(module)}")
    return found


def _import(target: str, name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise CannotLoad(target, _failure(name, error)) from error
        instead = f". A module's name has no .py: {name.removesuffix('.py')}" if name.endswith(".py") else ""
        why = f"there is no module {error.name!r}, neither in {here} nor installed{instead}"
        raise CannotLoad(target, why) from error
    except (Exception, SystemExit) as error:  # some modules are scripts
        raise CannotLoad(target, _failure(name, error)) from error


def _failure(name: str, error: BaseException) -> str:
    """The error, and the last line of the application that it came through."""
    if isinstance(error, SyntaxError):
        what, places = error.msg, [f"{error.filename}, line {error.lineno}"]
    else:
        frames = traceback.extract_tb(error.__traceback__)
        what, places = str(error), [f"{frame.filename}, line {frame.lineno}" for frame in frames if _is_theirs(frame)]
    where = f" ({places[-1]})" if places else ""
    return f"importing {name!r} failed with {type(error).__name__}: {what}{where}"


def _is_theirs(frame: traceback.FrameSummary) -> bool:
    """Whether the frame is the application's: neither Python's import machinery nor trioq."""
    ours = os.path.dirname(os.path.dirname(__file__)) + os.sep
    return not frame.filename.startswith(("<frozen", ours)) and frame.filename != importlib.__file__


def _name(found: object) -> str:
    return f"module {found.__name__!r}" if isinstance(found, ModuleType) else f"the {type(found).__name__}"


def _instead(module: ModuleType, wrong: str = "") -> str:
    """Name what the module has that can be run: only the name that is spelled most like *wrong*, or all."""
    names: Sequence[str] = [name for name, value in vars(module).items() if isinstance(value, (Worker, Queue))]
    names = get_close_matches(wrong, names, n=1) or names
    if not names:
        return f"; {module.__name__!r} has no Worker and no Queue at its top level"
    return f". Did you mean {' or '.join(f'{module.__name__}:{name}' for name in names)}?"
