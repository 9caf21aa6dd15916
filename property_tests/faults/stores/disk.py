"""A small disk for one server alone, which can be filled to its last byte, and given room again.

It is one in memory, and to mount that takes root: without root there is no such disk.
"""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

#: Room for a server, for what a trial enqueues, and for what each of them writes twice.
_MEGABYTES: Final = 192

#: Bytes that a disk gives at once.
_PAGE: Final = 4096


class NotHere(Exception):
    """A store can't be had on this machine, or by this user: no fault of trioq's, and nothing that it has passed."""


class Disk:
    """A disk that is there until it is closed."""

    def __init__(self) -> None:
        # In the one folder that every user can enter: PostgreSQL does not run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="trioq-disk-", dir="/tmp"))
        self._ballast = self.folder / "ballast"
        size = f"size={_MEGABYTES}m,mode=755"
        try:
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", size, "trioq", self.folder], capture_output=True, text=True, check=False
            )
            why = mounted.stderr.strip() if mounted.returncode else ""
        except FileNotFoundError as error:
            why = str(error)
        if why:
            self.folder.rmdir()
            raise NotHere(f"a small disk must be mounted, which takes root, on Linux: {why}")

    def fill(self) -> None:
        """Take all room that is left now.  What a program drops later is free again, until the next call."""
        with self._ballast.open("ab") as ballast:
            piece = _MEGABYTES * 2**20
            while piece >= _PAGE:
                try:  # to write it would take seconds
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, piece)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    piece //= 2

    def make_room(self) -> None:
        """Give back all that was taken."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it, and forget what was on it; at the latest when the last file on it is closed."""
        subprocess.run(["umount", "--lazy", self.folder], check=True)
        with suppress(OSError):
            self.folder.rmdir()


def on_small_disk(make: Callable[[Disk], T]) -> T:
    """A store on a disk for itself, which it is to close after itself."""
    disk = Disk()
    try:
        return make(disk)
    except BaseException:
        disk.close()
        raise
