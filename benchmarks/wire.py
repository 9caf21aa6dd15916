"""A wire of some length before a server, in a process of its own: all that is said arrives late, and is counted.

    python -m benchmarks.wire PORT SECONDS

It prints its own port, and how many round trips there have been each time that it reads a line.  It is a delay line,
not a bottleneck: what is on its way does not hold up what comes after.  It is made of threads, for a thread sleeps for
half a millisecond where an event loop sleeps for a whole one.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from queue import SimpleQueue
from threading import Thread

from .signals import undisturbed


class Wire:
    """What has gone over it so far: a round trip is a client that speaks after it has received something, or first."""

    def __init__(self, port: int, seconds: float) -> None:
        self._far, self._seconds = port, seconds  #: where it leads, and how long that takes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.round_trips = 0
        _start(self._accept)

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                self._carry_both(client, socket.create_connection(("127.0.0.1", self._far)))

    def _carry_both(self, client: socket.socket, server: socket.socket) -> None:
        client_has_received = True

        def client_speaks() -> None:
            nonlocal client_has_received
            self.round_trips += client_has_received
            client_has_received = False

        def client_receives() -> None:
            nonlocal client_has_received
            client_has_received = True

        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._carry(client, server, client_speaks, _nothing)
        self._carry(server, client, _nothing, client_receives)

    def _carry(
        self, source: socket.socket, sink: socket.socket, said: Callable[[], None], delivered: Callable[[], None]
    ) -> None:
        under_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

        def listen() -> None:
            data = b"to begin with"
            while data:
                try:
                    data = source.recv(2**16)
                except OSError:
                    data = b""
                said()
                under_way.put((time.monotonic() + self._seconds, data))

        def speak() -> None:
            with suppress(OSError):
                while True:
                    due, data = under_way.get()
                    time.sleep(max(0.0, due - time.monotonic()))
                    if not data:
                        break
                    delivered()
                    sink.sendall(data)
            for side in (source, sink):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
                side.close()

        _start(listen)
        _start(speak)

    def close(self) -> None:
        """Accept no client any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _start(run: Callable[[], None]) -> None:
    Thread(target=run, daemon=True).start()


def _nothing() -> None:
    pass


class Far:
    """A wire in another process."""

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
    with ExitStack() as stack:
        with undisturbed():
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
        yield Far(process)


if __name__ == "__main__":
    this = Wire(int(sys.argv[1]), float(sys.argv[2]))
    print(this.port, flush=True)
    for _ in sys.stdin:
        print(this.round_trips, flush=True)
