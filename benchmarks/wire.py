"""A wire of some length before a server, in a process of its own: all that is said arrives late, and is counted.

    python -m benchmarks.wire PORT SECONDS

It prints its own port, and how many round trips there have been each time that it reads a line.  It is a delay line,
not a bottleneck: what is on its way does not hold up what comes after.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio


class Wire:
    """What has gone over it so far: a round trip is a client that speaks after the server has spoken to it."""

    def __init__(self, port: int, seconds: float) -> None:
        self.port, self.seconds = port, seconds  #: where it leads, and how long that takes
        self.round_trips = 0

    async def serve(self, client: trio.SocketStream) -> None:
        """Carry one connection."""
        server_was_last = True

        def client_speaks() -> None:
            nonlocal server_was_last
            self.round_trips += server_was_last
            server_was_last = False

        def server_speaks() -> None:
            nonlocal server_was_last
            server_was_last = True

        with suppress(BaseExceptionGroup, OSError):
            server = await trio.open_tcp_stream("127.0.0.1", self.port)
            async with client, server, trio.open_nursery() as both:
                both.start_soon(self._carry, client, server, client_speaks, both.cancel_scope)
                both.start_soon(self._carry, server, client, server_speaks, both.cancel_scope)

    async def _carry(self, source, sink, speaks, connection: trio.CancelScope) -> None:
        send, receive = trio.open_memory_channel[tuple[float, bytes]](float("inf"))

        async def deliver() -> None:
            async for due, data in receive:
                await trio.sleep_until(due)
                await sink.send_all(data)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(deliver)
            async with send:
                while data := await source.receive_some():
                    speaks()
                    await send.send((trio.current_time() + self.seconds, bytes(data)))
        connection.cancel()

    async def answer_questions(self, standard_input) -> None:
        """Say a number for each line."""
        async for _ in standard_input:
            print(json.dumps(self.round_trips), flush=True)


async def main(port: int, seconds: float) -> None:
    """Be a wire until nobody asks any more."""
    wire = Wire(port, seconds)
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, wire.serve, [listener])
        print(json.dumps(listener.socket.getsockname()[1]), flush=True)
        await wire.answer_questions(trio.wrap_file(sys.stdin))
        nursery.cancel_scope.cancel()


class Far:
    """A wire, seen from the benchmark."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = self._line()

    def _line(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def round_trips(self) -> int:
        """How many there have been."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return self._line()


@contextmanager
def wire(port: int, seconds: float) -> Iterator[Far]:
    """A wire to this port that takes *seconds* in each direction, for as long as the block runs."""
    command = [sys.executable, "-m", "benchmarks.wire", str(port), str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Far(process)
        finally:
            process.kill()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), float(sys.argv[2]))
