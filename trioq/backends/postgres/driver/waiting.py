"""psycopg's generators, driven by Trio: they say what they wait for on a socket, and are sent what is ready."""

from __future__ import annotations

import select
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar, cast

import trio
from psycopg.abc import PQGen, PQGenConn
from psycopg.waiting import Ready, Wait

T = TypeVar("T")


async def drive(steps: PQGen[T], socket: int, ready: int | None = None) -> T:
    """Run a generator to its end on one socket, and return its result.

    If cancelled, it can be driven on, from *ready* 0.  A checkpoint, also where there is nothing to wait for.
    """
    try:
        wanted = steps.send(ready)  # type: ignore[arg-type]  # to begin is to send None
    except StopIteration as end:
        await trio.lowlevel.cancel_shielded_checkpoint()  # what was done can't be withdrawn
        return cast("T", end.value)
    try:
        while True:
            wanted = steps.send(await _ready(socket, wanted))
    except StopIteration as end:
        return cast("T", end.value)


async def drive_connecting(steps: PQGenConn[T]) -> T:
    """Like `drive`, for a generator that says on which socket it waits."""
    try:
        socket, wanted = next(steps)
        while True:
            socket, wanted = steps.send(await _ready(socket, wanted))
    except StopIteration as end:
        return cast("T", end.value)


async def _ready(socket: int, wanted: Wait) -> int:
    """Wait until the socket is ready for some of *wanted*, and return for what."""
    if wanted == Wait.R:
        await trio.lowlevel.wait_readable(socket)
        return Ready.R
    ready = poll(socket, wanted)
    if ready:  # nearly always, where something is to be sent
        await trio.lowlevel.checkpoint()
        return ready
    if wanted == Wait.W:
        await trio.lowlevel.wait_writable(socket)
        return Ready.W
    return await _either(socket)


def poll(socket: int, wanted: Wait) -> int:
    """Return for what of *wanted* the socket is ready now."""
    asked = select.poll()
    asked.register(socket, (select.POLLIN if wanted & Wait.R else 0) | (select.POLLOUT if wanted & Wait.W else 0))
    ready = 0
    for _, events in asked.poll(0):  # the end of the stream can be read, too
        ready |= (Ready.W if events & select.POLLOUT else 0) | (Ready.R if events & ~select.POLLOUT else 0)
    return ready


async def _either(socket: int) -> int:
    """Wait until the socket can be read or written, and return which."""
    ready = 0

    @trio.lowlevel.enable_ki_protection
    async def wait(possible: Callable[[int], Awaitable[None]], sign: Ready) -> None:
        nonlocal ready
        with suppress(trio.ClosedResourceError):
            await possible(socket)
            ready |= sign
        nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, trio.lowlevel.wait_readable, Ready.R)
            nursery.start_soon(wait, trio.lowlevel.wait_writable, Ready.W)
    except BaseExceptionGroup as group:  # the caller sees what it would have seen without a nursery
        raise (group.subgroup(KeyboardInterrupt) or group).exceptions[0] from None
    if not ready:
        raise trio.ClosedResourceError
    return ready
