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

#: Seconds between two looks at the command, and that a process has to end by itself before it is killed.
_LOOK: Final = 0.05
_GRACE: Final = 3.0


def end_descendants() -> None:
    """End all processes below this one: a server removes its shared memory at SIGTERM, and not when it is killed."""
    here, sign = psutil.Process(), signal.SIGTERM
    while left := here.children(recursive=True):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(sign)
        psutil.wait_procs(left, timeout=_GRACE)
        sign = signal.SIGKILL


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
