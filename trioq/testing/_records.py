"""Checks that a record comes back as it went in: bytes, names, numbers, texts, and unknown fields."""

from __future__ import annotations

from collections.abc import Sequence

from ..abc import Backend
from ..lifecycle import Cancel, Complete, Fail, Job, Requeue, stamp
from ._given import LONG, OTHER, Make, a_job, all_ids, assert_same, claim, held, move, stored

_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))

#: Names that a store might take for something else: a pattern, a quote, a path, a key of its own, an end.
_NAMES = (
    _PRINTABLE,
    " ",
    "  ",
    "a",
    "A",
    "a ",
    "*",
    "%",
    "_",
    "{a}",
    "a:b",
    "a/../b",
    "'; --",
    '"',
    "\\",
    "None",
    "0",
    "~" * 200,
)

#: What a codec, a C string or a text column might spoil.
_BYTES = (b"", b"\0", b"a\0b", bytes(range(256)), b"\xff\xfe", b"'\"\\", "snow ☃".encode(), b"{not json", b"x" * 2**20)

_TEXTS = ("", "a\0b", "'; DROP TABLE jobs; --", "ü ☃ 𝄞", "line\nline\r\n\ttab", "\x7f\x1b[31m", "x" * 2**16)


async def _survive(backend: Backend, jobs: Sequence[Job], why: str) -> None:
    """Each of them is inserted, claimed, completed and requeued, and stays what it was."""
    reply = await backend.insert(jobs)
    stamped = [stamp(job, new.seq, reply.now) for job, new in zip(jobs, reply.jobs, strict=True)]
    assert_same([await stored(backend, job) for job in jobs], stamped, why)
    claimed = (await claim(backend, sorted({job.queue for job in jobs}), limit=len(jobs))).jobs
    assert len(claimed) == len(jobs), f"{why}: {len(claimed)} of {len(jobs)} were claimed"
    again = [await move(backend, await move(backend, job, Complete(b"1")), Requeue()) for job in claimed]
    assert_same([await stored(backend, job) for job in again], again, why)


async def check_payloads_and_results_are_opaque_bytes(make: Make) -> None:
    """Payloads and results come back as the bytes that they were, whatever these are, up to a mebibyte."""
    async with make() as backend:
        jobs = [a_job(str(number), payload=payload) for number, payload in enumerate(_BYTES)]
        await _survive(backend, jobs, "a payload is bytes that no store reads")
        for job, result in zip((await claim(backend)).jobs, _BYTES, strict=True):
            done = await move(backend, job, Complete(result))
            assert_same([await stored(backend, job)], [done], "a result is bytes that no store reads")


async def check_names_may_have_every_printable_character(make: Make) -> None:
    """Ids, queues, tasks, unique keys and workers are told apart by every character and case, up to 200 of them."""
    async with make() as backend:
        by_id = [a_job(name, unique_key=name, task=name) for name in _NAMES]
        by_queue = [a_job("1", queue=name) for name in _NAMES]
        await _survive(backend, by_id, "an id, a task or a key is any printable text")
        await _survive(backend, by_queue, "a queue is any printable text")
        assert sorted(await backend.queues()) == sorted({*_NAMES, by_id[0].queue}), "each queue by its name"
        for name in _NAMES:
            assert await all_ids(backend, by_id[0].queue, task=name) == [name], f"task {name!r} is told apart"
            await backend.pause(name)
            assert await backend.is_queue_paused(name), f"queue {name!r} can be paused"
            await backend.resume(name)
            [job] = (await claim(backend, [name], worker=name)).jobs
            assert (job.queue, job.worker) == (name, name), f"worker {name!r} can claim from queue {name!r}"


async def check_unknown_fields_survive(make: Make) -> None:
    """What a newer version wrote into a record is kept through every step."""
    async with make() as backend:
        extra = {"colour": "red", "limits": {"per": [1, 2.5, None]}, "parts": []}
        await _survive(backend, [a_job("1", extra=extra), a_job("2", extra={}, queue=OTHER)], "unknown fields are kept")


async def check_every_option_survives(make: Make) -> None:
    """Options come back with their values and types, at their limits too."""
    async with make() as backend:
        jobs = [
            a_job("1", priority=-(2**15), max_retries=0, timeout=0.1, ttl=1e9, metadata={"big": 2**63, "ü": [None]}),
            a_job("2", priority=2**15 - 1, max_retries=2**31 - 1, max_crashes=2**31 - 1, metadata={"f": 0.1 + 0.2}),
            a_job("3", key="k", parent="2", delay=0.0, timeout=None, metadata={"": {"a": "\0"}}),
        ]
        await _survive(backend, jobs, "options are kept")


async def check_texts_survive(make: Make) -> None:
    """Errors and reasons come back as they were, also what looks like an end, a command or a colour."""
    async with make() as backend:
        jobs = [a_job(str(number)) for number in range(len(_TEXTS))]
        for job, text in zip(await held(backend, *jobs), _TEXTS, strict=True):
            failed = await move(backend, job, Fail(text, LONG))
            ended = await move(backend, failed, Cancel(text))
            assert_same([await stored(backend, job)], [ended], "an error and a reason are any text")
