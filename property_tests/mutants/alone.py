"""Run a command, and end with it every process that it has started: ``python -m property_tests.mutants.alone COMMAND``.

A test process that is killed leaves its servers and workers behind, and some are in sessions of their own.  Linux hands
such orphans to this process, so that it can end them.  It does so when the command ends, at SIGTERM, and when its own
parent is gone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Final

import psutil  # comes with the wheel of the servers

#: Of ``prctl``: orphaned descendants become children of this process.
_SET_CHILD_SUBREAPER: Final = 36

#: Seconds between two checks, and that all processes have to end by themselves before they are killed.
_LOOK: Final = 0.05
_GRACE: Final = 10.0


def end_descendants() -> None:
    """End all processes below this one.

    PostgreSQL removes its shared memory only where its first process ends by itself.  So each process gets SIGTERM once
    its parent has gone, and it is a child of this one; what is left in the end is killed.
    """
    here, deadline = psutil.Process(), time.monotonic() + _GRACE
    while left := here.children(recursive=True):
        late = time.monotonic() > deadline
        told = left if late else here.children()
        for process in told:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL if late else signal.SIGTERM)
        psutil.wait_procs(told, timeout=4 * _LOOK)


def main() -> None:
    """Run the command of the command line, and exit with its code."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parent = os.getppid()
    try:
        command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
        while command.poll() is None:
            if os.getppid() != parent:
                sys.exit(1)
            time.sleep(_LOOK)
    finally:
        end_descendants()
    sys.exit(command.returncode)


if __name__ == "__main__":
    main()
