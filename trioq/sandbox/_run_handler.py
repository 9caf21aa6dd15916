"""run_handler: one call of one task in a process, with Python values on both sides."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import trio

from .._core.errors import TrioqError
from .._core.outcome import BadPayload, Outcome, Raised, Rejected, RetryAsked, Returned, Snooze, Snoozed, error_text
from .._core.payload import Signature
from ._pool import run_payload
from ._target import Target


class SandboxError(TrioqError):
    """A handler did not return from its process; the text ends with the type and message of its error."""

    def __init__(self, task: str, error: str) -> None:
        self.task, self.error = task, error
        super().__init__(f"{task} did not return from its process:\n{error}")


async def run_handler(
    task: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    timeout: float | None = None,  # noqa: ASYNC109  AsyncMQ has it, and it is told apart from the caller's own
) -> Any:
    """The result of a Task, or of a function that can be imported, called in a process of its own.

    Cancelled, or after *timeout* seconds (TimeoutError), the process and its children are dead when it raises.
    SandboxError when the handler raised or its process died; TypeError for arguments that do not fit.  A use:
    ``await run_handler(resize, ["cat.png"], {"width": 200}, timeout=30)``
    """
    fn = getattr(task, "fn", task)
    target, signature = Target.of(fn), Signature.of(fn)
    payload = signature.encode(args, kwargs or {}, sys.maxsize)
    with trio.move_on_after(float("inf") if timeout is None else timeout):
        outcome = await run_payload(target, payload, sys.maxsize)
        if isinstance(outcome, Returned):
            return signature.result.decode_result(outcome.result)
        raise SandboxError(str(target), _error(outcome))
    raise TimeoutError(f"{target} took longer than {timeout:g} s, and was killed with its children")


def _error(outcome: Outcome) -> str:
    match outcome:
        case Raised(error) | RetryAsked(error) | Rejected(error) | BadPayload(error):
            return error
        case Snoozed(delay):
            return error_text(Snooze(delay)).lstrip()
        case other:
            raise TypeError(f"no handler ends as {other}")
