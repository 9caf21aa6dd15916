"""Handlers under test: no server, no sleeping, and months in milliseconds."""

import trio
import trioq
from signup import DAY, send, sent, sign_up


async def test_a_handler_is_a_function():
    await send("ann", "welcome")  # a task is still callable
    assert sent.pop() == "welcome ann"


async def test_a_new_user_is_welcomed_at_once(queue):
    await sign_up.enqueue("ann")
    await trioq.Worker(queue).run_until_idle()
    assert sent == ["welcome ann"]
    assert (await queue.counts())["delayed"] == 1


async def test_and_asked_again_after_a_month(queue, autojump_clock):
    began = trio.current_time()
    await sign_up.enqueue("ann")
    await trioq.Worker(queue).run_until_idle(delayed=True)
    assert sent == ["welcome ann", "still there? ann"]
    assert trio.current_time() - began >= 30 * DAY


async def test_a_busy_server_is_tried_again_within_two_hours(queue, autojump_clock):
    job = await send.enqueue("flaky", "welcome")
    await trioq.Worker(queue).run_until_idle(delayed=True)
    done = await job.refresh()
    assert (done.state, done.failures) == ("completed", 2)
    assert done.finished_at - done.created_at < 2 * 3600
