"""Handlers under test: no server, no sleeping, and hours in milliseconds."""

import trio
import trioq
from trioq.testing import assert_enqueued

from signup import HOUR, send, sent, sign_up


async def test_a_task_is_still_a_function():
    await send("ann", "welcome")
    assert sent.pop() == "welcome ann"


async def test_signing_up_enqueues_a_welcome(queue):
    await sign_up("ann")
    await assert_enqueued(queue, send, "ann", "welcome")


async def test_a_new_user_is_welcomed_at_once(queue):
    await sign_up.enqueue("ann")
    await trioq.Worker(queue).run_until_idle()
    assert sent == ["welcome ann"]


async def test_and_asked_again_after_an_hour(queue, autojump_clock):
    began = trio.current_time()
    await sign_up.enqueue("ann")
    await trioq.Worker(queue).run_until_idle(delayed=True)
    assert sent == ["welcome ann", "still there? ann"]
    assert trio.current_time() - began >= HOUR


async def test_a_busy_server_is_tried_again_within_two_minutes(queue, autojump_clock):
    job = await send.enqueue("flaky", "welcome")
    await trioq.Worker(queue).run_until_idle(delayed=True)
    done = await job.refresh()
    assert (done.state, done.failures) == ("completed", 2)
    assert done.finished_at - done.created_at < 120
