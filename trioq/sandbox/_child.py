"""Runs in the process of a handler, and takes requests until the worker's end of the socket is closed."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, BinaryIO, NoReturn

import trio

from .._core.outcome import BadPayload, Outcome, Returned, cut, outcome_of
from .._core.payload import Signature
from ._messages import PREFIX, Reply, Request, sizes


def main(fd: int) -> NoReturn:
    """Answer the requests that come through the socket *fd*, one after another, for ever."""
    del sys.argv[1:]
    # What a handler starts must not hold the socket open: its end tells the worker that this process is gone.
    os.set_inheritable(fd, False)
    os.register_at_fork(after_in_child=partial(os.close, fd))
    for number in (signal.SIGINT, signal.SIGTERM):
        # A supervisor may signal every process of a service: the worker decides whether this handler has to end.
        before = signal.signal(number, lambda *_: None)
        os.register_at_fork(after_in_child=partial(signal.signal, number, before))
    requests: SimpleQueue[Request] = SimpleQueue()
    threading.Thread(target=_listen, args=(fd, requests), name="trioq.sandbox", daemon=True).start()
    own = os.getpid()
    with open(fd, "wb", closefd=False) as out:
        while True:
            outcome = run(requests.get())
            if os.getpid() != own:  # a handler forked, and both processes returned: only the first process replies
                os._exit(0)
            out.write(Reply(outcome, _left_nothing()).encode())
            out.flush()


def _listen(fd: int, requests: SimpleQueue[Request]) -> None:
    """Read requests, in a thread, so that the end of the worker is noticed while a handler runs."""
    with open(fd, "rb", closefd=False) as link:
        try:
            while True:
                head, body = sizes(_exactly(link, PREFIX))
                requests.put(Request.decode(_exactly(link, head), _exactly(link, body)))
        finally:
            os.killpg(0, signal.SIGKILL)


def _exactly(link: BinaryIO, size: int) -> bytes:
    data = link.read(size)
    if len(data) < size:
        raise EOFError
    return data


def run(request: Request) -> Outcome:
    """Run one handler and return how it ended.  Every exception makes an outcome, SystemExit too."""
    try:
        fn = request.target.load()
        signature = Signature.of(fn)
        try:
            args, kwargs = signature.decode(request.payload)
        except ValueError as error:
            return BadPayload(cut(str(error)))
        return Returned(signature.result.encode_result(_call(fn, args, kwargs), request.limit))
    except BaseException as error:  # noqa: ASYNC103  no trio.run is left to cancel
        return outcome_of(error, trio.Cancelled)  # noqa: ASYNC104


def _call(fn: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    if inspect.iscoroutinefunction(inspect.unwrap(fn)):
        return trio.run(partial(fn, *args, **kwargs))
    return fn(*args, **kwargs)


def _left_nothing() -> bool:
    """Whether no child process and no thread is left that would go on beside the next handler."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate())
    return False
