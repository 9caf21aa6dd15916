"""Faults in what the backends for servers share: requests, their deadlines, and writes in one group."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_GROUP_COMMIT: Final = "backends/_group_commit.py"
_REQUESTS: Final = "backends/_requests.py"
_REQUEST_RUNNER: Final = "backends/_request_runner.py"

MUTANTS: Final = (
    Mutant(
        "each write of a group gets the answer of the first",
        _GROUP_COMMIT,
        "GroupCommit._ask_for",
        "start += len(items)",
        "",
    ),
    Mutant(
        "an item that the server refuses fails its whole group",
        _GROUP_COMMIT,
        "GroupCommit._send",
        "for each in group:\n    await self._send([each])\nreturn",
        "pass",
    ),
    Mutant(
        "a write that has left is cancelled like a read",
        _REQUESTS,
        "wait_known",
        "if request.withdraw():\n    raise",
        "raise",
    ),
    Mutant(
        "a write in the task of its caller is cancelled like a read",
        _REQUEST_RUNNER,
        "RequestRunner._write_here",
        "trio.move_on_after(patience - self._time_to_end, shield=True)",
        "trio.move_on_after(patience - self._time_to_end)",
    ),
    Mutant(
        "a server that does not answer keeps a write for longer than its deadline",
        _REQUEST_RUNNER,
        "RequestRunner._write_here",
        "patience - self._time_to_end",
        "patience",
    ),
    Mutant(
        "Ctrl-C before a request leaves takes its place away for ever",
        _REQUEST_RUNNER,
        "RequestRunner.write",
        "trio.lowlevel.enable_ki_protection",
        "lambda function: function",
    ),
    Mutant(
        "Ctrl-C stops the task that sends a group of writes",
        _GROUP_COMMIT,
        "GroupCommit._send_waiting",
        "trio.lowlevel.enable_ki_protection",
        "lambda function: function",
    ),
)
