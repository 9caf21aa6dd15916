"""What jobs may contain: too much, what no worker can read, and what means something to a database, or to a browser."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Final

import trio

import trioq
from property_tests.faults.application import NAME
from property_tests.faults.experiment import Bench, experiment, judge
from property_tests.faults.result import Result
from property_tests.faults.stores import EVERY
from property_tests.faults.trial import Trial
from trioq.lifecycle import Job
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import Answered

_UNREADABLE: Final = {
    "empty": b"",
    "no JSON": b"\x80\x04\x95garbage",
    "cut off": b'[["a',
    "no UTF-8": b'[["\xff\xfe"],{}]',
    "a lone surrogate": b'[["\\ud800"],{}]',
    "NUL": b"\x00",
    "not a number": b"[[NaN],{}]",
    "infinity": b"[[1e999],{}]",
    "no arguments": b'{"a": 1}',
    "three parts": b"[[],{},{}]",
    "too many": b"[[1,2,3],{}]",
    "unknown keyword": b'[[],{"unknown": 1}]',
    "nested": b"[[" + b"[" * 100_000 + b"]" * 100_000 + b"],{}]",
    "another type": b'[["soon"],{}]',
}


class _Touch:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._file,)


@experiment(
    promise="Each is a dead letter that says why, at its first run; no worker breaks, and all others are completed.",
    stores=EVERY,
    sample=1,
    goal=5,
)
async def jobs_that_no_worker_can_read(bench: Bench) -> Result:
    """Arguments that are no JSON, of another shape, nested 100,000 deep, or pickled; and tasks that no worker has."""
    async with bench.trial() as trial:
        await trial.start_worker()
        trap = trial.folder / "trap"
        payloads = _UNREADABLE | {"pickled": pickle.dumps(_Touch(trap))}
        jobs = [
            Job(id=name.replace(" ", "-"), queue=NAME, task="work", payload=each) for name, each in payloads.items()
        ]
        jobs += [Job(id="unknown", queue=NAME, task="unknown", max_retries=0)]
        await _insert(trial, jobs)
        await trial.produce(arguments=[[0.01]], count=20)
        history = await trial.history(within=30)
        wrong = ["a pickle was loaded"] if trap.exists() else []
        for job in jobs:
            record = history.records[job.id]
            if record.state != "failed" or record.run != 1 or not record.error:
                wrong.append(f"{job.id} is {record.state} in run {record.run}, {record.error}")
        unread = (rules.a_run_is_settled_as_its_handler_ended,)  # each counts a failure, and no handler has begun
        return judge(history, without=unread) + Result.wrong(wrong) + Result(faults=len(jobs))


async def _insert(trial: Trial, jobs: list[Job]) -> None:
    """Past the queue, which would refuse them."""
    operations = [trial.journal.ask(job.id) for job in jobs]
    await trial.backend.insert(jobs)
    for operation in operations:
        trial.journal.note(Answered, operation, ((*operation.targets, True),))


_HOSTILE: Final = (
    "'; DROP TABLE jobs; --",
    '" OR 1=1 --',
    "\\'); DELETE FROM jobs WHERE ('a'='a",
    "]] redis.call('FLUSHALL') --[[",
    "*1\r\n$8\r\nFLUSHALL\r\n",
    "{trioq}:jobs",
    "%s%n%x{0.__class__}${jndi:ldap://x}$(reboot)`reboot`",
    "<script>alert(1)</script>",
    "../../../etc/passwd",
    "\u202ereversed\u2028\u0000\u0007\x1b[2J",
    "\N{SMILING FACE WITH SUNGLASSES}" * 100,
    "x" * 200,
    "null",
    "",
)


@experiment(
    promise="Every string comes back as it was or is refused at ``enqueue``, and nothing of it is run.",
    stores=EVERY,
    sample=1,
    goal=5,
)
async def strings_that_mean_something_elsewhere(bench: Bench) -> Result:
    """SQL, Lua, Redis' protocol, format strings, HTML, paths and control characters, in whatever takes a string."""
    wrong: list[str] = []
    async with bench.trial() as trial:
        await trial.start_worker()
        await trial.produce(arguments=[[0.0]], count=5)  # what such a string would drop
        queue = trioq.Queue(NAME, backend=trial.backend)
        async with queue:
            for number, text in enumerate(_HOSTILE):
                wrong += await _try(trial, queue, number, text)
            too_much = "x" * 2**20
            for size in (1, 10, 100):
                try:
                    await queue.enqueue("echo", [too_much * size])
                    wrong.append(f"{size} MiB was taken")
                except trioq.PayloadTooLarge:
                    pass
        history = await trial.history(within=30)
        return judge(history) + Result.wrong(wrong) + Result(faults=len(_HOSTILE))


async def _try(trial: Trial, queue: trioq.Queue, number: int, text: str) -> list[str]:
    """What is wrong with this string, wherever it stands; as an id, it may be refused."""
    wrong = await _try_with(trial, queue, f"plain-{number}", text)
    if text:
        wrong += [each for each in await _try_with(trial, queue, text, text) if "refused" not in each]
    return wrong


async def _try_with(trial: Trial, queue: trioq.Queue, id: str, text: str) -> list[str]:
    operation = trial.journal.ask(id)
    unique_key = text if text.isascii() and text.isprintable() and text else None
    try:
        key: Any = {} if unique_key is None else {"unique_key": unique_key}
        handle = await queue.enqueue("echo", [{text: text}], id=id, metadata={text: text}, **key)
    except (ValueError, TypeError) as error:
        return [f"{text!r} was refused: {error}"]
    trial.journal.note(Answered, operation, ((id, handle.created),))
    with trio.fail_after(10):
        answer, record = await handle.result(), await handle.refresh()
    wrong = [] if answer == {text: text} else [f"{text!r} came back as {answer!r}"]
    if (record.metadata, record.unique_key) != ({text: text}, unique_key):
        wrong.append(f"{text!r} became {record.metadata!r} and {record.unique_key!r} in the record")
    return wrong
