"""The CPU time that processes have used."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil


def cpu_seconds(pid: int) -> float:
    """Of one process with all its threads: to the nanosecond where the system tells, else in ticks of 10 ms."""
    threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if not threads:
        return float(sum(psutil.Process(pid).cpu_times()[:2]))
    total = 0
    for thread in threads:
        with suppress(FileNotFoundError, ProcessLookupError):
            total += int(thread.read_text().split()[0])
    return total / 1e9


def cpu_of_server(pid: int) -> float:
    """Of a process and its children, those that have ended included, in seconds."""
    first = psutil.Process(pid)
    total = cpu_seconds(pid) + first.cpu_times().children_user + first.cpu_times().children_system
    for child in first.children():
        with suppress(psutil.NoSuchProcess, FileNotFoundError):  # it has ended meanwhile, or does so now
            total += cpu_seconds(child.pid)
    return float(total)
