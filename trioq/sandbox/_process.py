"""One process that runs handlers, seen from the worker: started, asked, killed with its children, reaped."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Final, Self

import trio

from .._core.errors import TrioqError
from .._core.outcome import Raised
from ._messages import PREFIX, Reply, Request, reply_sizes
from ._target import Target

_log: Final = logging.getLogger("trioq.sandbox")

#: How long a killed process may take to go.  Only one that is stuck in the kernel takes longer than milliseconds.
REAP: Final = 5.0

#: By ``-c`` and not by ``-m``: trioq itself may lie on a path that only the worker knows.
_BOOT: Final = "import sys; _, fd, *sys.path = sys.argv; from trioq.sandbox._child import main; main(int(fd))"

_STDERR: Final = 2


class ProcessDied(TrioqError):
    """The process of a handler ended before its handler did."""

    def __init__(self, target: Target, returncode: int | None) -> None:
        self.target, self.returncode = target, returncode
        super().__init__(f"the process of {target} {_obituary(returncode)} before its handler returned")


def _obituary(returncode: int | None) -> str:
    if returncode is None:
        return "closed its socket"
    if returncode >= 0:
        return f"exited with code {returncode}"
    name = next((known.name for known in signal.Signals if known == -returncode), f"signal {-returncode}")
    return f"was killed by {name}" + (" (out of memory?)" if returncode == -signal.SIGKILL else "")


class HandlerProcess:
    """A process in a session and a process group of its own, and the worker's end of its socket."""

    def __init__(self, process: trio.Process, link: socket.socket) -> None:
        self._process = process
        self._link = link
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(link))
        self._killed = False

    @classmethod
    async def start(cls) -> Self:
        """Start a process; OSError where the system can start no more.  When cancelled, none is started."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                theirs.setblocking(True)  # socket.setdefaulttimeout() would have it otherwise
                process = await trio.lowlevel.open_process(
                    [sys.executable, *_flags(), "-c", _BOOT, str(theirs.fileno()), *filter(_is_text, sys.path)],
                    stdin=subprocess.DEVNULL,
                    stdout=_STDERR,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        return cls(process, ours)

    def is_idle(self) -> bool:
        """Whether it is still there, and has sent nothing unasked."""
        try:
            self._link.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    async def ask(self, request: Request) -> Reply | None:
        """Its reply to *request*; None when it ended without one.  After a cancellation it must be ended."""
        try:
            await self._stream.send_all(request.encode())
            head, body = reply_sizes(await self._exactly(PREFIX), request.limit)
            return Reply.decode(await self._exactly(head), await self._exactly(body))
        except (trio.BrokenResourceError, EOFError):
            return None
        except ValueError as error:
            why = f"something in the process of {request.target} wrote to its worker's socket: {error}"
            return Reply(Raised(f"ValueError: {why}"), clean=False)

    async def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = await self._stream.receive_some(min(size - len(data), 2**20))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def kill(self) -> None:
        """Kill it with all its children, at once.

        Always before it is reaped: until then no other process can get the id of its group.
        """
        if not self._killed:
            self._killed = True
            with suppress(ProcessLookupError, PermissionError):  # macOS refuses to signal a group of zombies
                os.killpg(self._process.pid, signal.SIGKILL)
            self._stream.socket.close()

    async def end(self) -> int | None:
        """Kill and reap it; its exit status, or None in the rare case that it does not end.

        Shielded, and over within `REAP` seconds.
        """
        self.kill()
        with trio.move_on_after(REAP, shield=True):
            return await self._process.wait()
        _log.warning("process %d of a sandboxed handler was killed, but is not gone yet", self._process.pid)
        return None


def _flags() -> list[str]:
    """The worker's own ``-O``, ``-W``, ``-X`` and so on; unbuffered, as what is printed should survive a kill."""
    return [*subprocess._args_from_interpreter_flags(), "-u"]  # type: ignore[attr-defined]


def _is_text(entry: object) -> bool:
    return isinstance(entry, str)
