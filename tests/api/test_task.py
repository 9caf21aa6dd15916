"""Tasks: what can be one, which options its jobs get, and which arguments they take."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

import trioq

NOW = 1_800_000_000.0


async def test_a_task_is_still_callable_as_its_function(queue):
    @queue.task
    async def add(a, b):
        """Add up."""
        return a + b

    @queue.task(name="other name")
    def double(a):
        return 2 * a

    assert await add(1, 2) == 3
    assert double(4) == 8
    assert (add.name, double.name) == ("add", "other name")
    assert add.__doc__ == "Add up."
    assert queue.tasks == {"add": add, "other name": double}


async def test_two_tasks_of_a_name_are_refused(queue):
    @queue.task
    async def add():
        pass

    with pytest.raises(trioq.DuplicateTask, match="add"):
        queue.task(name="add")(lambda: None)


class Holder:
    def method(self):
        pass

    @staticmethod
    def static():
        pass


class AsyncCallable:
    async def __call__(self):
        pass


async def generate():
    yield 1


@pytest.mark.parametrize(
    ("fn", "word"),
    [
        (Holder.method, "method"),
        (Holder().method, "method"),
        (Holder.__dict__["static"], "method"),
        (generate, "generator"),
        (functools.partial(math.pow, 2), "function"),
        (Holder(), "callable"),
        (AsyncCallable(), "function"),
        (5, "callable"),
    ],
)
async def test_what_cannot_be_a_task_is_refused_with_the_way_to_mend_it(queue, fn, word):
    with pytest.raises(trioq.BadTask, match=word):
        queue.task(fn)


@pytest.mark.parametrize("name", ["", "böse", "x" * 201, "a\tb"])
async def test_task_names_are_printable_ascii(queue, name):
    with pytest.raises(trioq.BadName):
        queue.task(name=name)(lambda: None)


def _nothing():
    pass


@pytest.mark.parametrize(
    "options",
    [
        {"delay": -1},
        {"ttl": -0.5},
        {"timeout": -1},
        {"delay": math.nan},
        {"ttl": math.inf},
        {"timeout": "5"},
        {"timeout": True},
        {"delay": 10**400},
        {"run_at": datetime(2030, 1, 1)},  # noqa: DTZ001
        {"run_at": 1_900_000_000},
        {"priority": 2**15},
        {"priority": -(2**15) - 1},
        {"priority": 1.5},
        {"max_retries": -1},
        {"max_retries": True},
        {"backoff": 5},
        {"id": ""},
        {"id": "ü"},
        {"unique_key": "x" * 201},
        {"metadata": [1]},
        {"delay": 5, "run_at": datetime(2030, 1, 1, tzinfo=UTC)},
    ],
    ids=str,
)
async def test_options_that_make_no_sense_are_value_errors(queue, options):
    with pytest.raises(ValueError):
        queue.task(name="add")(_nothing).options(**options)
    with pytest.raises(ValueError):
        queue.task(name="another", **options)(_nothing)


@pytest.mark.parametrize("metadata", [{"a": (1,)}, {"a": math.nan}, {1: 2}, {"a": object()}])
async def test_metadata_survives_json_or_is_refused(queue, metadata):
    with pytest.raises(trioq.NotSerializable, match=r"^the metadata can't be stored"):
        queue.task(name="add", metadata=metadata)(_nothing)


async def test_metadata_is_held_to_the_payload_limit_of_the_queue():
    queue = trioq.Queue("q", "memory:", trioq.Settings(max_payload_bytes=100))
    task = queue.task(name="add")(_nothing)
    with pytest.raises(trioq.PayloadTooLarge, match=r"^the metadata would take 108 bytes"):
        task.options(metadata={"a": "x" * 100})


async def test_an_unknown_option_names_the_known_ones(queue):
    with pytest.raises(TypeError, match="max_retries"):
        queue.task(retries=3)(_nothing)


async def test_a_delay_that_reaches_the_ttl_is_refused_and_an_absolute_time_is_not(autojump_clock, queue):
    task = queue.task(name="add", ttl=10)(_nothing)
    for delay in (10, 11):
        with pytest.raises(ValueError, match="expires before"):
            task.options(delay=delay)
    task.options(delay=9.9)
    task.options(run_at=datetime.fromtimestamp(NOW + 100, UTC))


async def test_options_of_the_task_hold_unless_a_job_has_its_own(autojump_clock, queue):
    task = queue.task(
        name="add",
        priority=5,
        ttl=100,
        timeout=7,
        max_retries=2,
        backoff=trioq.Steps([1, 2]),
        metadata={"team": "a"},
    )(_nothing)
    async with queue:
        plain = await (await task.enqueue()).refresh()
        own = await (await task.options(priority=1, ttl=None, delay=3, metadata={}).enqueue()).refresh()
    assert (plain.priority, plain.ttl, plain.timeout, plain.max_retries) == (5, 100, 7, 2)
    assert (plain.backoff, plain.metadata, plain.expires_at) == (trioq.Steps([1, 2]), {"team": "a"}, NOW + 100)
    assert (own.priority, own.ttl, own.expires_at, own.metadata, own.run_at) == (1, None, None, {}, NOW + 3)
    assert own.state == "delayed"


async def test_an_absolute_time_replaces_a_delay_and_a_past_one_is_now(autojump_clock, queue):
    task = queue.task(name="add", delay=50)(_nothing)
    async with queue:
        later = await (await task.options(run_at=datetime.fromtimestamp(NOW + 60, UTC)).enqueue()).refresh()
        past = datetime.fromtimestamp(NOW, UTC) - timedelta(days=1)
        overdue = await (await task.options(run_at=past).enqueue()).refresh()
    assert (later.state, later.run_at) == ("delayed", NOW + 60)
    assert (overdue.state, overdue.run_at) == ("waiting", NOW)


async def test_arguments_are_checked_when_they_are_enqueued(autojump_clock, queue):
    @queue.task
    async def send(to: str, subject: str = "hi"):
        pass

    async with queue:
        for args, kwargs in [((), {}), (("a", "b", "c"), {}), (("a",), {"text": 1}), (("a",), {"to": "b"})]:
            with pytest.raises(trioq.WrongArguments, match="send"):
                await send.enqueue(*args, **kwargs)
            with pytest.raises(TypeError):
                send.bind(*args, **kwargs)
        assert sum((await queue.counts()).values()) == 0


async def echo_untyped(value):
    return value


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        None,
        True,
        0,
        -1,
        2**53 + 1,
        2**60,
        -(2**63),
        2**64 - 1,
        2**70,
        0.1 + 0.2,
        1e-320,
        -0.0,
        1.0,
        1e300,
        "",
        "\x00",
        "\x7f\x1b\u2028\ufeff",
        "naïve 🎉",
        "\\\"'",
        [[[]], {"a": [None, {"b": {}}]}],
        {"": "", "a b": [1, 2.5]},
        list(range(1000)),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_json_values_come_back_as_the_same_value_and_type(autojump_clock, queue, value):
    seen = []

    @queue.task
    async def echo(value, more=None):
        seen.append((value, more))
        return value

    async with queue:
        job = await echo.enqueue(value, more=value)
        await trioq.Worker(queue).run_until_idle()
        result = await job.result()
    for back in (*seen[0], result):
        assert repr(back) == repr(value)
        assert type(back) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        [1, [math.nan]],
        "\ud800",
        {"\udfff": 1},
        (1, 2),
        [(1,)],
        {1, 2},
        b"bytes",
        {1: "a"},
        object(),
        datetime(2030, 1, 1, tzinfo=UTC),
        lambda: None,
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_what_json_would_lose_or_change_is_refused_at_enqueue(autojump_clock, queue, value):
    echo = queue.task(name="echo")(echo_untyped)
    async with queue:
        with pytest.raises(TypeError):
            await echo.enqueue(value)
        with pytest.raises(TypeError):
            await queue.enqueue("not here", [value])
        with pytest.raises(TypeError):
            await queue.enqueue("not here", kwargs={"value": value})
        assert sum((await queue.counts()).values()) == 0


async def test_a_value_that_contains_itself_is_refused(autojump_clock, queue):
    echo = queue.task(name="echo")(echo_untyped)
    value: list[Any] = []
    value.append(value)
    async with queue:
        with pytest.raises(TypeError):
            await echo.enqueue(value)


@attrs.frozen
class Point:
    x: int
    y: float = 0.0


@dataclass
class Person:
    name: str
    born: datetime


async def test_annotated_values_are_decoded_to_their_annotations(autojump_clock, queue):
    seen = []

    @queue.task
    async def typed(
        when: datetime, point: Point, pair: tuple[int, str], names: set[str], data: bytes, *rest: int, person: Person
    ) -> dict[int, Point]:
        seen.append((when, point, pair, names, data, rest, person))
        return {1: point}

    when = datetime(2030, 1, 1, 12, tzinfo=UTC)
    arguments = (when, Point(1, 2.5), (1, "a"), {"x", "y"}, b"\x00\xff", 7, 8)
    async with queue:
        job = await typed.enqueue(*arguments, person=Person("Ada", when))
        await trioq.Worker(queue).run_until_idle()
        assert await job.result() == {1: Point(1, 2.5)}
    assert seen == [(*arguments[:5], (7, 8), Person("Ada", when))]


async def test_an_argument_that_does_not_fit_its_annotation_is_refused_at_enqueue(autojump_clock, queue):
    @queue.task
    async def typed(number: int, point: Point):
        pass

    async with queue:
        for args in [("1", Point(1)), (1, {"y": 1}), (1.5, Point(1))]:
            with pytest.raises(TypeError):
                await typed.enqueue(*args)


async def test_arguments_over_the_limit_are_refused(autojump_clock, queue):
    echo = queue.task(name="echo")(echo_untyped)
    async with queue:
        await echo.enqueue("x" * (2**20 - 10))
        for call in (echo.enqueue("x" * 2**20), queue.enqueue("not here", ["x" * 2**20])):
            with pytest.raises(trioq.PayloadTooLarge) as caught:
                await call
            assert caught.value.limit == 2**20


async def test_nothing_that_a_payload_names_is_imported(autojump_clock, queue):
    async with queue:
        job = await queue.enqueue("os.system", ["true"])
        await trioq.Worker(queue).run_until_idle()
        assert "no task" in (await job.refresh()).error


async def test_tasks_are_found_by_name_so_two_queues_can_have_the_same_one(autojump_clock, backend):
    queues = [trioq.Queue(name, backend) for name in "ab"]
    for queue in queues:

        @queue.task(name="which")
        async def which():
            return trioq.current_job().queue

    async with queues[0]:
        jobs = [await queue.tasks["which"].enqueue() for queue in queues]
        await trioq.Worker(*queues).run_until_idle()
        assert [await jobs[0].result(), await jobs[1].result()] == ["a", "b"]
