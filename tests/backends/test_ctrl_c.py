"""Ctrl-C, wherever it finds a backend at work: a KeyboardInterrupt, and nothing else."""

from __future__ import annotations

import signal
import threading
from itertools import count
from pathlib import Path

import pytest
import trio

from tests.backend_list import BACKENDS, Subject
from trioq._core.outcome import leaves_of
from trioq.abc import Backend
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
