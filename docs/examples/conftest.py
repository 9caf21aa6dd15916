"""What all tests share: the application's queue, each time on a new store in memory."""

import pytest

import signup


@pytest.fixture
async def queue():
    signup.queue.backend = "memory:"  # whatever the settings say
    signup.sent.clear()
    async with signup.queue:
        yield signup.queue
