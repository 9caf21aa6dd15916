"""Ctrl-C, wherever it finds a backend at work: a KeyboardInterrupt, and nothing else."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
import trio

from tests.backend_list import BACKENDS, Subject
from tests.servers import Server, on_one
from trioq._core.outcome import leaves_of
from trioq.abc import Backend
from trioq.backends.redis.address import Address
from trioq.backends.redis.client import Link
from trioq.lifecycle import Job


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("subject", BACKENDS, ids=lambda subject: subject.name)
def test_one_ctrl_c_is_a_keyboard_interrupt_whatever_is_under_way(subject: Subject, tmp_path: Path) -> None:
    for turn in range(15):
        with pytest.raises(BaseException) as caught:
            trio.run(_work_for_ever, subject.make(tmp_path), turn)
        assert {type(leaf) for leaf in leaves_of(caught.value)} == {KeyboardInterrupt}


async def _work_for_ever(backend: Backend, turn: int) -> None:
    async with backend, backend.watch(["a"]), trio.open_nursery() as nursery:
        nursery.start_soon(_look, backend)
        for name in ("a", "b", "c"):
            nursery.start_soon(_insert, backend, name)
        await trio.sleep(0.02)
        threading.Timer(0.01 + turn / 10_000, signal.raise_signal, [signal.SIGINT]).start()
        await trio.sleep_forever()


async def _insert(backend: Backend, name: str) -> None:
    for number in count():
        await backend.insert([Job(id=f"{name}-{number}", queue=name, task="t")])


async def _look(backend: Backend) -> None:
    while True:
        await backend.queues()


class _Pressing(bytes):
    """A word that meets Ctrl-C as its length is asked for."""

    def __len__(self) -> int:
        signal.raise_signal(signal.SIGINT)
        return super().__len__()


@on_one
@pytest.mark.usefixtures("heard")
def test_a_command_to_redis_that_ctrl_c_finds_half_written_is_written_to_its_end(server: Server) -> None:
    """Half of one would spoil the connection for all who share it."""

    async def press() -> None:
        async with trio.open_nursery() as nursery:
            link = await Link.open(Address.parse(server.url), nursery)
            link.say(b"SUBSCRIBE", _Pressing(b"c"))
            with suppress(KeyboardInterrupt):
                await trio.lowlevel.checkpoint()
            assert await link.ask(b"ECHO", b"on") == b"on"
            nursery.cancel_scope.cancel()

    trio.run(press)
