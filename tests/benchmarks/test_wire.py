"""The wire makes everything late, nothing slow, and counts who speaks after whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from benchmarks.wire import Wire

SECONDS = 0.2


@asynccontextmanager
async def open_wire() -> AsyncIterator[tuple[Wire, trio.SocketStream]]:
    """A wire to a server that says everything again, and a client at its near end."""

    async def echo(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        [far] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, echo, [far])
        wire = Wire(far.socket.getsockname()[1], SECONDS)
        [near] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, wire.serve, [near])
        async with await trio.open_tcp_stream("127.0.0.1", near.socket.getsockname()[1]) as client:
            yield wire, client
        nursery.cancel_scope.cancel()


async def test_a_round_trip_takes_twice_its_length_and_is_counted():
    async with open_wire() as (wire, client):
        for number in range(1, 3):
            begun = trio.current_time()
            await client.send_all(b"hello")
            assert await client.receive_some() == b"hello"
            assert trio.current_time() - begun >= 2 * SECONDS
            assert wire.round_trips == number


async def test_what_is_on_its_way_holds_nothing_up():
    async with open_wire() as (wire, client):
        begun = trio.current_time()
        for _ in range(10):
            await client.send_all(b"x")
            await trio.sleep(SECONDS / 20)
        arrived = b""
        while len(arrived) < 10:
            arrived += await client.receive_some()
        assert trio.current_time() - begun < 10 * SECONDS  # one after the other they would take twice as long
        assert wire.round_trips == 1
