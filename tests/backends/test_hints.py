"""HintChannels: which watchers are woken, and by what.  How a hint crosses processes is each backend's."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trioq.backends._base import Hint
from trioq.backends._hints import HintChannel, hint_from


async def test_two_readers_of_one_hint_channel_are_both_woken() -> None:
    hints = HintChannel(["q"])
    received: list[Hint] = []

    async def read() -> None:
        received.append(await hints.receive())

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(read)
            for hint in (Hint.READY, Hint.PAUSED):
                await wait_all_tasks_blocked()
                hints.notify(hint)
    assert received == [Hint.READY, Hint.PAUSED]


async def test_closing_a_hint_channel_wakes_all_its_readers() -> None:
    hints = HintChannel(["q"])

    async def read() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await hints.receive()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(read)
            await wait_all_tasks_blocked()
            hints.close()


async def test_a_hint_channel_passes_on_only_the_kinds_that_it_is_for() -> None:
    hints = HintChannel(["q"], Hint.FINISHED | Hint.PAUSED)
    hints.notify(Hint.READY)
    with trio.move_on_after(0) as nothing:
        await hints.receive()
    assert nothing.cancelled_caught
    hints.notify(Hint.READY | Hint.FINISHED)
    assert await hints.receive() == Hint.FINISHED


@pytest.mark.parametrize(
    "number", [b"", b"x", b"-1", b"+7", b"1_0", "²", pytest.param(b"9" * 5_000, id="5,000 digits")]
)
def test_what_is_no_number_is_no_hint(number: bytes | str) -> None:
    assert hint_from(number) == Hint(0)


def test_of_a_number_counts_what_we_know() -> None:
    assert hint_from(b"%d" % (Hint.READY.value + 2**20)) == Hint.READY
