"""The demo's application: a queue and its tasks.  It says nothing of where jobs are kept, nor of how many run at once.

The queue takes its store from the settings, so that any number of processes can help::

    TRIOQ_BACKEND=sqlite:demo.db trioq worker trioq.cli.demo.tasks:queue
"""

from __future__ import annotations

import ast
import hashlib
import time
import warnings
from pathlib import Path

import attrs

import trioq

queue = trioq.Queue("demo")


@attrs.frozen(kw_only=True)
class SourceFile:
    """What `measure` finds in a Python source file."""

    sha256: str
    bytes: int
    lines: int
    functions: int
    classes: int


# In a process, not in a thread: parsing keeps the GIL for up to half a second a file, and would block the worker's own
# loop.  So all cores work, and a file that kills the parser kills one job.
@queue.task(sandbox=True, timeout=30, max_retries=2, backoff=trioq.Exponential(base=0.5, factor=2, jitter=0.2))
def measure(path: str) -> SourceFile:
    """Read, hash and parse a file, and count what it defines.  Raises what the parser raises."""
    source = Path(path).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a test suite is full of doubtful literals
        tree = ast.parse(source, path)
    nodes = [type(node) for node in ast.walk(tree)]
    return SourceFile(
        sha256=hashlib.sha256(source).hexdigest(),
        bytes=len(source),
        lines=len(source.splitlines()),
        functions=nodes.count(ast.FunctionDef) + nodes.count(ast.AsyncFunctionDef),
        classes=nodes.count(ast.ClassDef),
    )


@queue.task(priority=-1, ttl=60)
async def probe(sent: float) -> float:  # noqa: ASYNC124  a plain function would be run in a thread
    """How long this job took from ``enqueue`` to here, in seconds."""
    return time.time() - sent
