"""Programs that take all the CPU that they are given, so that there is less for the processes of a trial."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio

#: Computes until its parent dies, however that came.
_PROGRAM: Final = "import os\nwhile os.getppid() == {parent}:\n    for _ in range(10**6):\n        pass"


@asynccontextmanager
async def cpu_load_on_every_core(programs: int) -> AsyncIterator[None]:
    """So many such programs for each core, while the block runs."""
    program = [sys.executable, "-S", "-c", _PROGRAM.format(parent=os.getpid())]
    start = partial(trio.run_process, program, stdin=subprocess.DEVNULL, deliver_cancel=_kill)
    async with trio.open_nursery() as nursery:
        for _ in range(programs * (os.cpu_count() or 1)):
            await nursery.start(start)
        yield
        nursery.cancel_scope.cancel()


async def _kill(process: trio.Process) -> None:
    """At once: it has nothing to put away."""
    process.kill()
