"""Runs the demo's application: enqueue, watch, probe, read the results.  Any program could use trioq like this."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import trio

import trioq
from trioq.events import JobFailed, JobRetrying

from .progress import Display, Progress
from .report import Report
from .sources import Sources
from .tasks import SourceFile, measure, probe, queue

#: The states of jobs that have not ended.
_LIVE: Final = ("waiting", "delayed", "active")

#: How many probes, and for how many seconds at most.
_PROBES: Final = 100
_PROBING: Final = 5.0

#: Seconds between two reads of the queue.
_FRAME: Final = 0.1


@attrs.define
class Tally:
    """What the display shows of the events of this process.  The closing table is read from the store."""

    sources: Sources
    retries: int = 0
    news: str = ""

    async def listen(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Receive the events of failures, until cancelled."""
        async with trioq.event_emitter.subscribe("job:*") as events:
            task_status.started()
            async for event in events:
                match event:
                    case JobRetrying(job=job, attempt=attempt, delay=delay):
                        self.retries += 1
                        self.news = f"attempt {attempt} failed, the next in {delay:.1f} s: {self._about(job)}"
                    case JobFailed(job=job):
                        self.news = f"dead letter: {self._about(job)}"

    def _about(self, job: trioq.Job) -> str:
        [path], _ = job.arguments()
        return f"{self.sources.label(path)}: {_last_line(job.error)}"


class Demo:
    """One run of the demo."""

    def __init__(self, sources: Sources, scratch: Path, concurrency: int, display: Display) -> None:
        self._sources = sources
        self._scratch = scratch
        self._concurrency = concurrency
        self._display = display
        self._worker = trioq.Worker(queue, concurrency=concurrency, handle_signals=True)
        self._tally = Tally(sources)
        self._files: dict[str, str] = {}  #: job id -> file
        self._handles: list[trioq.JobHandle[SourceFile]] = []
        self._latencies: list[float] = []
        self._total = 0
        self._began = self._ended = 0.0

    async def run(self, say: Callable[[str], None]) -> Report:
        """Run all jobs, or as many as there is time for until a signal."""
        async with queue:
            files, store = len(self._sources.files), trioq.settings.backend
            say(f"{files:,} jobs on {store}: one for each source file of {self._sources.title}")
            earlier = await queue.counts()
            async with trio.open_nursery() as nursery:
                await nursery.start(self._tally.listen)
                nursery.start_soon(self._work, nursery.cancel_scope)
                self._began = self._ended = trio.current_time()
                await self._measure(self._sources, earlier)
                if (await queue.counts())["failed"] == earlier["failed"]:
                    say("All of them parse. Here are three broken files, to see how their jobs end.")
                    await self._measure(Sources.broken(self._scratch), earlier)
                await self._probe()
                self._worker.stop()
            return await self._look_back()

    async def _work(self, rest: trio.CancelScope) -> None:
        """Run the worker, until it is stopped or a signal drains it: then the *rest* of the demo ends, too."""
        await self._worker.start()
        rest.cancel()

    async def _measure(self, sources: Sources, earlier: dict[str, int]) -> None:
        """Enqueue a job for each file, and show how they go until the queue is empty."""
        files = [str(path) for path in sources.files]
        handles = await queue.enqueue_many(measure.bind(path) for path in files)
        self._handles += handles
        self._files |= {handle.id: sources.label(path) for handle, path in zip(handles, files, strict=True)}
        self._total = len(self._handles) + sum(earlier[state] for state in _LIVE)
        while await self._show(earlier):  # noqa: ASYNC110  a display has frames; nothing waits for them
            await trio.sleep(_FRAME)

    async def _show(self, earlier: dict[str, int]) -> bool:
        """Draw the queue as it is now.  Returns whether it still has jobs to run."""
        counts = await queue.counts()
        busy = any(counts[state] for state in _LIVE)
        self._ended = trio.current_time()
        progress = Progress(
            elapsed=self._ended - self._began,
            total=self._total,
            counts=counts | {state: counts[state] - earlier[state] for state in ("completed", "failed")},
            retries=self._tally.retries,
            news=self._news() if busy else "",
        )
        self._display.show(progress)
        return busy

    def _news(self) -> str:
        statistics = self._worker.statistics()
        if statistics.draining:
            return f"draining: {statistics.running} still running. Once more to cancel them"
        return self._tally.news

    async def _probe(self) -> None:
        """Measure how soon an idle worker starts a job: one at a time, so that none waits for another."""
        with trio.move_on_after(_PROBING):
            for _ in range(_PROBES):
                await trio.sleep(random.uniform(0.001, 0.01))
                job = await probe.enqueue(time.time())
                self._latencies.append(await job.result())

    async def _look_back(self) -> Report:
        """Read from the store how our jobs ended."""
        left: Counter[str] = Counter()
        dead: dict[str, str] = {}
        measured: list[SourceFile] = []
        retries = 0
        async with trio.open_nursery() as nursery:

            async def fetch(handle: trioq.JobHandle[SourceFile]) -> None:
                measured.append(await handle.result())

            handles = {handle.id: handle for handle in self._handles}
            async for job in queue.jobs(task=measure.name):
                if str(job.state) in _LIVE:  # those of an earlier demo are left, too
                    left[str(job.state)] += 1
                if job.id not in handles:
                    continue
                retries += job.failures - (job.state == "failed")
                if job.state == "completed":
                    nursery.start_soon(fetch, handles[job.id])
                elif job.state == "failed":
                    dead[self._files[job.id]] = _last_line(job.error)
        return Report(
            measured=measured,
            dead=dead,
            left=left,
            retries=retries,
            elapsed=self._ended - self._began,
            latencies=self._latencies,
            concurrency=self._concurrency,
        )


def _last_line(error: str | None) -> str:
    return (error or "").rstrip().rpartition("\n")[2]
