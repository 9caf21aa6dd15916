"""What a process has: threads, tasks, open files, child processes.  What it has too much at its end is a leak."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path

import trio

#: Seconds that threads get to end which have nothing more to do.
_ENDS_WITHIN = 1.0


def belongings() -> Counter[str]:
    """All that this process has now, by what it is; threads that are about to end are waited for."""
    here = Path("/proc/self")
    found = Counter(f"task {task.name}" for task in _tasks(trio.lowlevel.current_root_task()))
    found.update(f"thread {thread.name}" for thread in _threads())
    if here.exists():
        found.update(f"file {_target(file)}" for file in here.joinpath("fd").iterdir())
        found.update(f"child {pid}" for pid in here.joinpath("task", str(os.getpid()), "children").read_text().split())
    return found


def _threads() -> list[threading.Thread]:
    """Those that stay.  Trio keeps some for the next one who wants one: they are no leak."""
    deadline = time.monotonic() + _ENDS_WITHIN
    others = set(threading.enumerate()) - {threading.current_thread()}
    others = {thread for thread in others if not thread.name.startswith("Trio thread")}
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in others if thread.is_alive()]


def _target(file: Path) -> str:
    """What is open; of a socket or a pipe only that it is one, for each has a number of its own."""
    try:
        return os.readlink(file).partition(":[")[0]
    except FileNotFoundError:
        return "nothing"


def _tasks(task: trio.lowlevel.Task | None) -> list[trio.lowlevel.Task]:
    if task is None:
        return []
    children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return children + [found for child in children for found in _tasks(child)]
