"""Watches the wake file, by inotify or else by polling.  Which hints came, ``hint_counters`` knows."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

import trio

from ..._core.errors import TrioqError
from .hint_counters import make_wake_file

_log: Final = logging.getLogger("trioq.sqlite")

_IN_ATTRIB: Final = 0x4
_IN_MODIFY: Final = 0x2

#: The shortest and the longest wait between two polls, in seconds.
_QUICK: Final = 0.05
_SLOW: Final = 0.25

#: Seconds to wait after the counters were read.
_REST: Final = 0.005


class FileWatcher(Protocol):
    """Notices that another process may have sent hints."""

    async def listen(self) -> None:
        """Return when there may be new hints."""

    def heard(self, new_hints: bool) -> None:
        """Learn whether there were any."""

    def close(self) -> None:
        """Stop watching."""


class Inotify:
    """Lets Linux report each touch of the file, within a millisecond and at no cost while nothing happens."""

    def __init__(self, path: str) -> None:
        if sys.platform != "linux":
            raise OSError("this system has no inotify")
        self._path = path
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            self._watch()
        except OSError:
            self.close()
            raise

    async def listen(self) -> None:
        """Return when the file was touched."""
        await trio.lowlevel.wait_readable(self._fd)
        os.read(self._fd, 2**16)
        # The file may have been removed, and the watch with it; on the same file this changes nothing.
        self._watch()

    def heard(self, new_hints: bool) -> None:
        """Do nothing: Linux reports the next touch in any case."""

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)

    def _watch(self) -> None:
        if not os.path.exists(self._path):
            make_wake_file(self._path)
        watch = self._libc.inotify_add_watch(self._fd, os.fsencode(self._path), _IN_ATTRIB | _IN_MODIFY)
        self._checked(watch)

    def _checked(self, answer: int) -> int:
        if answer < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return answer


class Polling:
    """Returns now and then: more often while hints come."""

    def __init__(self) -> None:
        self._wait = _QUICK

    async def listen(self) -> None:
        """Return after a while."""
        await trio.sleep(self._wait)

    def heard(self, new_hints: bool) -> None:
        """Return soon again after new hints, and less and less often without."""
        self._wait = _QUICK if new_hints else min(_SLOW, self._wait * 1.25)

    def close(self) -> None:
        """Do nothing: it holds no resource."""


def best_watcher(path: str) -> FileWatcher:
    """Return an `Inotify`, or a `Polling` where the system has no inotify or no more of it."""
    try:
        return Inotify(path)
    except OSError:
        return Polling()


class Listener:
    """Reads new hints whenever the wake file is touched, for as long as there are watchers.

    It runs in a Trio system task: watchers come and go in any order, so no watcher's nursery could hold it.
    """

    def __init__(
        self,
        make_watcher: Callable[[], FileWatcher],
        look: Callable[[], Awaitable[bool]],
        on_failure: Callable[[], None],
    ) -> None:
        self._make_watcher = make_watcher
        self._look = look
        self._on_failure = on_failure  #: called when hints could not be read: then anything may have happened
        self._watchers = 0
        self._scope: trio.CancelScope | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the block runs: no later commit is missed, and earlier ones can be read."""
        self._watchers += 1
        try:
            if self._scope is None:
                self._scope = trio.CancelScope()
                trio.lowlevel.spawn_system_task(self._listen, self._make_watcher(), self._scope)
            await self._look()
            yield
        finally:
            self._watchers -= 1
            if self._watchers == 0:
                self.stop()

    def stop(self) -> None:
        """Stop listening."""
        if self._scope is not None:
            self._scope.cancel()
            self._scope = None

    async def _listen(self, watcher: FileWatcher, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                try:
                    await self._follow(watcher)
                except Exception as error:  # a system task must not end in an error
                    _log.warning("no file notification any more (%s): looking for news now and then", error)
                finally:
                    watcher.close()
                watcher = Polling()

    async def _follow(self, watcher: FileWatcher) -> None:
        while True:
            await watcher.listen()
            try:
                watcher.heard(await self._look())
            except TrioqError as error:
                _log.debug("could not look for news: %s", error)
                self._on_failure()
            # A busy process is woken by each of its own commits, and need not read the counters after each.
            await trio.sleep(_REST)
