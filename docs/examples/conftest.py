"""What all tests share: a store in memory, empty for each of them."""

import pytest
import trioq

trioq.settings.backend = "memory:"  # before the application makes its queues


@pytest.fixture
async def queue():
    from signup import queue, sent

    async with queue:
        yield queue
        async for job in queue.jobs():
            await queue.remove(job.id)
    sent.clear()
