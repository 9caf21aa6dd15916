"""Ctrl-C, wherever it finds a backend at work: a KeyboardInterrupt, and nothing else."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.backend_list import Subject, each
from tests.servers import Server, on_one
from trioq._core.outcome import leaves_of
from trioq.abc import Backend, Hint
from trioq.backends._group_commit import GroupCommit
from trioq.backends._hints import ALL_HINTS, HintChannels
from trioq.backends._requests import PendingRequest, Work
from trioq.backends.postgres import listener as postgres
from trioq.backends.redis import listener as redis
from trioq.backends.redis.address import Address
from trioq.backends.redis.client import Link
from trioq.lifecycle import Job


@pytest.mark.usefixtures("ctrl_c_interrupts")
@pytest.mark.parametrize("subject", each())
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
@pytest.mark.usefixtures("ctrl_c_interrupts")
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


def _press_at(place: str, here: str) -> None:
    if here == place:
        signal.raise_signal(signal.SIGINT)


class _FakeConnection(HintChannels):
    """What a listener uses: its connection, and the channels that it notifies.  Ctrl-C comes at one place there."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    async def connect(self, *_: object) -> Any:
        _press_at(self._place, "connect")
        if self._place == "notify":  # then only the task of the listener notifies
            await trio.sleep_forever()
        return self

    async def notify_on(self, channel: str, text: str) -> None:
        await trio.lowlevel.checkpoint()
        if channel == "channel":  # and not one that is only tried
            _press_at(self._place, "prove")

    async def ask(self, *words: bytes) -> None:
        await trio.lowlevel.checkpoint()
        _press_at(self._place, "prove")

    def say(self, *words: bytes) -> None:
        pass

    async def broken(self) -> None:
        await trio.sleep_forever()

    async def execute(self, query: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def notifies(self, **how: float) -> AsyncIterator[object]:
        if not how:
            await trio.sleep_forever()
        yield "what was tried"

    def drop(self) -> None:
        pass

    def notify(self, hint: Hint, queue: str | None = None) -> None:
        _press_at(self._place, "notify")


@pytest.mark.usefixtures("ctrl_c_interrupts")
@pytest.mark.parametrize("place", ["connect", "prove", "notify"])
@pytest.mark.parametrize(
    "listens",
    [
        lambda connection: postgres.Listener(connection.connect, connection.notify_on, "channel", connection, "me"),
        lambda connection: redis.Listener(connection.connect, connection, b"me"),
    ],
    ids=["postgresql", "redis"],
)
def test_ctrl_c_ends_none_of_the_tasks_that_listen(listens: Callable[[_FakeConnection], Any], place: str) -> None:
    """It is for the main task, whose nurseries know what to do."""

    async def press() -> None:
        listener = listens(_FakeConnection(place))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            with pytest.raises(KeyboardInterrupt):
                async with listener.listening({"channel": (ALL_HINTS, "q")}):
                    await trio.sleep_forever()
            nursery.cancel_scope.cancel()

    trio.run(press, clock=MockClock(autojump_threshold=0))


class _FakeRequests:
    """Serves a group_commit.  Ctrl-C comes during the first request, or during those that have gathered meanwhile."""

    def __init__(self, nursery: trio.Nursery, place: str) -> None:
        self.nursery = nursery
        self._place = place

    async def write(self, work: Work, patience: float) -> Any:
        await wait_all_tasks_blocked()
        _press_at(self._place, "first")
        return await work(None)

    async def serve(self, request: PendingRequest, work: Work) -> None:
        _press_at(self._place, "gathered")
        await work(None)
        request.done.set()


@pytest.mark.usefixtures("ctrl_c_interrupts")
@pytest.mark.parametrize("place", ["first", "gathered"])
def test_ctrl_c_keeps_nothing_from_being_sent(place: str) -> None:
    sent: list[Sequence[str]] = []

    async def ask(_: object, items: Sequence[str]) -> Sequence[str]:
        sent.append(items)
        return items

    async def press() -> None:
        async with trio.open_nursery() as nursery:
            group_commit = GroupCommit(_FakeRequests(nursery, place), ask, lambda answer, part: answer[part], len)
            for item in "abc":
                nursery.start_soon(group_commit.write, [item], 5.0)
            with pytest.raises(KeyboardInterrupt):
                await trio.sleep_forever()

    trio.run(press)
    assert [len(items) for items in sent] == [1, 2]
