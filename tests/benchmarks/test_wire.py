"""The wire makes everything late, nothing slow, and counts who speaks after whom."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from threading import Thread

import pytest

from benchmarks.wire import Wire

SECONDS = 0.05


@pytest.fixture
def echo():
    """The port of a server that says everything again."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(100):
                    connection.sendall(data)

    thread = Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    server.close()
    thread.join()


@pytest.fixture
def wire(echo):
    wire = Wire(echo, SECONDS)
    yield wire
    wire.close()


def test_a_round_trip_takes_twice_its_length_and_is_counted(wire):
    with socket.create_connection(("127.0.0.1", wire.port)) as client:
        for number in range(1, 3):
            begun = time.monotonic()
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
            assert 2 * SECONDS <= time.monotonic() - begun < 20 * SECONDS
            assert wire.round_trips == number


def test_what_is_on_its_way_holds_nothing_up(wire):
    with socket.create_connection(("127.0.0.1", wire.port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.monotonic()
        for _ in range(50):
            client.sendall(b"x")
            time.sleep(SECONDS / 100)
        arrived = b""
        while len(arrived) < 50:
            arrived += client.recv(100)
        assert time.monotonic() - begun < 50 * SECONDS  # one after the other they would take twice as long


def test_a_client_that_asks_again_before_an_answer_makes_one_round_trip(wire):
    with socket.create_connection(("127.0.0.1", wire.port)) as client:
        for _ in range(3):
            client.sendall(b"x")
            time.sleep(SECONDS / 10)
        assert client.recv(100)
        assert wire.round_trips == 1
