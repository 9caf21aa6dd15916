"""Sandbox: handlers in processes, which are kept warm while it is open."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from .._core.outcome import Outcome, Raised, Returned, error_text
from ._messages import Reply, Request
from ._process import HandlerProcess, ProcessDied
from ._target import Target


class Sandbox:
    """Runs each handler in a process of its own, and keeps up to *keep* idle processes for the next ones.

    A process is used again only after a handler that returned and left no process and no thread behind.  Every other
    one is killed with its children.  The module of a handler stays imported: the next one finds what a handler left in
    its globals, in the environment or in the working directory.  ``keep=0`` starts afresh each time.

    It limits nothing: there are as many processes as concurrent calls of `run`.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._keep = (os.cpu_count() or 1) if keep is None else keep
        self._idle: list[HandlerProcess] = []
        self._open = False

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill and reap the idle processes; one that is busy ends with its own `run`."""
        self._open = False
        for process in self._idle:
            process.kill()
        while self._idle:
            await self._idle.pop().end()  # noqa: ASYNC102  it shields itself, with a deadline

    async def run(self, target: Target, payload: bytes, limit: int) -> Outcome:
        """How the handler *target* ended with the arguments *payload*; its result may take *limit* bytes.

        Cancelled, it kills the handler with its children at once, and raises once that is done.  Raises nothing else:
        a process that died, or could not be started, is a Raised.
        """
        try:
            process = await self._take()
        except OSError as error:
            return Raised(error_text(error))
        reply = status = None
        try:
            reply = await process.ask(Request(target, payload, limit))
        finally:
            if reply is not None and self._can_keep(reply):
                self._idle.append(process)
            else:
                status = await process.end()  # noqa: ASYNC102  likewise
        return Raised(error_text(ProcessDied(target, status)).lstrip()) if reply is None else reply.outcome

    async def _take(self) -> HandlerProcess:
        while self._idle:
            process = self._idle.pop()
            if process.is_idle():
                return process
            await process.end()
        return await HandlerProcess.start()

    def _can_keep(self, reply: Reply) -> bool:
        good = reply.clean and isinstance(reply.outcome, Returned)
        return good and self._open and len(self._idle) < self._keep


async def run_payload(target: Target, payload: bytes, limit: int) -> Outcome:
    """`Sandbox.run` in a process that is used once."""
    return await Sandbox(keep=0).run(target, payload, limit)
