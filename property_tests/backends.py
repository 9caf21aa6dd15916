"""The backends under test: what the specification asks of one, it asks of each of them.

A property that takes the argument ``make`` is run for each; ``pytest property_tests --backend=module:factory`` puts
another in their place.  A maker answers a new backend over a new, empty store, not yet entered, whose clock follows
Trio's: the properties run in virtual time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from weakref import finalize

from trioq.abc import Backend
from trioq.backends.memory import InMemoryBackend
from trioq.backends.sqlite import SQLiteBackend
from trioq.testing._given import Make
from trioq.testing._naming import named as named

#: Where files cost no wait for a disk, if there is such a place: what survives a power cut isn't asked here.
_RAM: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def sqlite() -> Backend:
    """Over a new file that goes when the backend does."""
    folder = TemporaryDirectory(prefix="trioq-", dir=_RAM)
    backend = SQLiteBackend(Path(folder.name) / "jobs.db", synchronous="NORMAL", inline=True)
    finalize(backend, folder.cleanup)  # thousands of programs make a store each
    return backend


#: Those that are in this repository.
OURS: Final[Mapping[str, Make]] = {"memory": InMemoryBackend, "sqlite": sqlite}
