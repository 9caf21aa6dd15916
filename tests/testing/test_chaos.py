"""`ChaosBackend`: what goes wrong is what the contract of a backend allows, and a seed repeats it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import trioq
from trioq import BackendUnavailable, InMemoryBackend, SQLiteBackend
from trioq.abc import Backend, Filter, Hint, Lease, Presence
from trioq.lifecycle import Job
from trioq.testing import CHECKS, ChaosBackend

CALLS = {"refused", "unanswered", "late request", "late reply", "outage"}
HINTS = {"dropped hint", "doubled hint", "late hint"}


def a_job(id: str) -> Job:
    return Job(id=id, queue="q", task="t")


async def stored(backend: Backend) -> set[str]:
    return {job.id for job in (await backend.find(Filter(queue="q"), limit=1_000)).jobs}


async def insert(chaos: ChaosBackend, id: str) -> tuple[str | None, bool, float]:
    """What went wrong with the insert of one job, whether it was answered, and how long that took."""
    before, begun = len(chaos.faults), trio.current_time()
    try:
        await chaos.insert([a_job(id)])
        answered = True
    except BackendUnavailable:
        answered = False
    mishaps = [what for _, _, what in chaos.faults[before:]]
    assert len(mishaps) <= 1
    return (mishaps[0] if mishaps else None), answered, trio.current_time() - begun


# --- the contract -------------------------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_with_a_rate_of_0_it_is_a_backend_like_any_other(check: Callable[[Callable[[], Backend]], Awaitable[None]]):
    trio.run(check, lambda: ChaosBackend(InMemoryBackend(), 1, rate=0), clock=MockClock(autojump_threshold=0))


async def test_what_was_answered_is_stored_what_was_refused_is_not_and_what_was_not_answered_may_be(autojump_clock):
    store = InMemoryBackend()
    async with store, ChaosBackend(store, seed=1, rate=0.7) as chaos:
        met = set()
        for number in range(300):
            mishap, answered, seconds = await insert(chaos, str(number))
            there = str(number) in await stored(store)
            met.add((mishap, answered, there))
            assert seconds < store.patience + 1e-6
            if seconds > store.patience - 1e-6:
                assert not answered
            await trio.sleep(1)  # an outage ends some time
    assert met == {
        (None, True, True),
        ("refused", False, False),
        ("outage", False, False),
        ("unanswered", False, True),
        ("late request", True, True),
        ("late request", False, False),
        ("late reply", True, True),
        ("late reply", False, True),
    }


async def test_the_effect_of_a_write_that_was_given_up_still_comes(autojump_clock):
    store = InMemoryBackend()
    async with store, ChaosBackend(store, seed=1, rate=0.7, delay=20, outage=0) as chaos:
        given_up = set()
        for number in range(100):
            mishap, answered, _ = await insert(chaos, str(number))
            if mishap == "late request" and not answered:
                given_up.add(str(number))
                assert str(number) not in await stored(store)
        await trio.sleep(20)
        assert given_up
        assert given_up <= await stored(store)


async def test_requests_on_their_way_when_the_store_is_closed_never_arrive(autojump_clock):
    store = InMemoryBackend()
    async with store:
        async with ChaosBackend(store, seed=1, rate=1, delay=1_000, outage=0) as chaos:
            late = set()
            for number in range(20):
                mishap, answered, _ = await insert(chaos, str(number))
                if mishap == "late request" and not answered:
                    late.add(str(number))
            there = await stored(store)
        await trio.sleep(1_000)
        assert late - there
        assert await stored(store) == there


async def test_a_claim_or_a_renewal_takes_no_longer_than_a_third_of_its_lease(autojump_clock):
    worker = Presence(worker="w", name="w", host="h", slots=1, lease=3.0)
    async with ChaosBackend(InMemoryBackend(), seed=3, rate=1, delay=100, outage=0) as chaos:
        slow = set()
        for _ in range(20):
            for verb, call in {
                "claim": lambda: chaos.claim(["q"], 1, "w", 6.0, idle=True),
                "renew": lambda: chaos.renew(worker, [Lease("q", "1", 1)]),
                "prune": lambda: chaos.prune(["q"], trioq.abc.Retention(**dict.fromkeys(RETENTION, 0))),
            }.items():
                begun = trio.current_time()
                with pytest.raises(BackendUnavailable):
                    await call()
                slow.add((verb, trio.current_time() - begun))
    assert slow == {
        (verb, seconds) for verb, most in [("claim", 2), ("renew", 1), ("prune", 5)] for seconds in (0, most)
    }


RETENTION = ("keep_completed", "keep_completed_max", "keep_dead", "keep_dead_max")


async def test_a_cancelled_write_that_has_left_is_waited_for_and_a_read_is_not(autojump_clock):
    ended = defaultdict(set)
    async with ChaosBackend(InMemoryBackend(), seed=5, rate=1, delay=4, outage=0) as chaos:
        for number in range(50):
            for verb, call in {
                "insert": lambda id: chaos.insert([a_job(id)]),
                "get": lambda id: chaos.get("q", [id]),
            }.items():
                with trio.move_on_after(0.001) as scope:  # it has left by then
                    try:
                        await call(str(number))
                        how = "answered"
                    except BackendUnavailable:
                        how = "unavailable"
                ended[verb].add("cancelled" if scope.cancelled_caught else how)
    assert ended == {"insert": {"answered", "unavailable"}, "get": {"cancelled", "unavailable"}}


async def test_a_call_that_goes_wrong_is_a_checkpoint_and_can_be_cancelled_before_it_leaves(autojump_clock):
    store = InMemoryBackend()
    async with store, ChaosBackend(store, seed=5, rate=1, outage=0) as chaos:
        for number in range(50):
            with trio.testing.assert_checkpoints():
                await insert(chaos, f"stored {number}")
            with trio.CancelScope() as scope:
                scope.cancel()
                await chaos.insert([a_job(f"cancelled {number}")])
            assert scope.cancelled_caught
        await trio.sleep(100)
        assert not [id for id in await stored(store) if id.startswith("cancelled")]


async def test_what_the_store_refuses_late_is_refused(autojump_clock):
    class Strict(InMemoryBackend):
        async def insert(self, jobs):
            raise trioq.BackendError("never")

    async with ChaosBackend(Strict(), seed=1, rate=1, delay=1, outage=0) as chaos:
        with pytest.raises(trioq.BackendError, match="never"):
            while True:
                try:
                    await chaos.insert([a_job("1")])
                except BackendUnavailable:
                    pass
        assert chaos.faults[-1][2] in {"late request", "late reply"}


# --- hints, and outages -------------------------------------------------------------------------


async def test_hints_are_dropped_doubled_or_late(autojump_clock):
    store = InMemoryBackend()
    received = Counter()
    async with store, ChaosBackend(store, seed=2, rate=0, delay=8) as chaos, chaos.watch(["q"]) as hints:
        chaos.rate = 0.6
        for number in range(60):
            await store.insert([a_job(str(number))])
            inserted_at, before = trio.current_time(), len(chaos.faults)
            times = []
            with trio.move_on_after(10):
                while True:
                    assert await hints.receive() == Hint.READY
                    times.append(trio.current_time() - inserted_at)
            [what] = [what for _, _, what in chaos.faults[before:]] or [None]
            received[what, len(times), bool(times) and times[0] > 0] += 1
    assert set(received) == {
        (None, 1, False),
        ("dropped hint", 0, False),
        ("doubled hint", 2, False),
        ("late hint", 1, True),
    }


async def test_a_late_hint_outlives_the_cancellation_of_its_receiver(autojump_clock):
    store = InMemoryBackend()
    async with store, ChaosBackend(store, seed=1, rate=0, delay=100) as chaos, chaos.watch(["q"]) as hints:
        chaos.rate = 1
        while not chaos.faults or chaos.faults[-1][2] != "late hint":
            await store.insert([a_job(str(len(chaos.faults)))])
            with trio.move_on_after(0.001):
                await hints.receive()
        chaos.calm()
        with trio.fail_after(1):
            assert await hints.receive() == Hint.READY


async def test_an_outage_refuses_every_call_until_it_is_over(autojump_clock):
    store = InMemoryBackend()
    async with store, ChaosBackend(store, seed=1, rate=0, outage=3) as chaos, chaos.watch(["q"]) as hints:
        chaos.rate = 1
        while "outage" not in {what for _, _, what in chaos.faults}:
            await insert(chaos, "1")
        chaos.rate = 0
        for call in (chaos.queues, lambda: chaos.counts("q"), lambda: chaos.watch(["q"]).__aenter__()):
            with pytest.raises(BackendUnavailable):
                await call()
        await store.insert([a_job("2")])
        with pytest.raises(BackendUnavailable):
            await hints.receive()
        await trio.sleep(3)
        await chaos.queues()


# --- the seed, the rate and the record ----------------------------------------------------------


async def fates(seed: int, between: int = 0, **options: float) -> list[str | None]:
    """How a hundred inserts end, with so many other calls between them."""
    met = []
    async with ChaosBackend(InMemoryBackend(), seed, outage=0, **options) as chaos:
        for number in range(100):
            met.append((await insert(chaos, str(number)))[0])
            for _ in range(between):
                try:
                    await chaos.queues()
                except BackendUnavailable:
                    pass
    return met


async def test_a_seed_repeats_itself_whatever_calls_of_other_verbs_there_are(autojump_clock):
    assert await fates(1) == await fates(1, between=3)
    assert await fates(1) != await fates(2)


async def test_the_rate_is_the_share_of_what_goes_wrong(autojump_clock):
    assert set(await fates(1, rate=1)) == CALLS - {"outage"}
    assert sum(what is not None for what in await fates(1)) < 25
    some, more = await fates(1, rate=0.2), await fates(1, rate=0.5)
    assert all(b == a for a, b in zip(some, more, strict=True) if a is not None)


async def test_calm_ends_all_that_goes_wrong(autojump_clock):
    async with ChaosBackend(InMemoryBackend(), seed=1, rate=1, outage=1_000) as chaos:
        while "outage" not in {what for _, _, what in chaos.faults}:
            await insert(chaos, "1")
        chaos.calm()
        assert chaos.rate == 0
        for number in range(100):
            assert await insert(chaos, str(number)) == (None, True, 0)


async def test_faults_say_when_and_where_what_went_wrong(autojump_clock):
    async with ChaosBackend(InMemoryBackend(), seed=1, rate=1, outage=0) as chaos:
        await trio.sleep(7)
        await insert(chaos, "1")
        [(at, verb, what)] = chaos.faults
        assert (verb, what in CALLS) == ("insert", True)
        assert at == pytest.approx(trio.current_time(), abs=chaos.patience)


def test_options_that_make_no_sense_are_refused():
    for options in ({"rate": 10}, {"rate": -0.1}, {"delay": -1}, {"outage": float("nan")}):
        with pytest.raises(ValueError, match="is a"):
            ChaosBackend(InMemoryBackend(), 1, **options)
    with pytest.raises(TypeError, match="around a Backend"):
        ChaosBackend("memory:", 1)


# --- under a worker -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
async def test_every_job_is_completed_once_the_faults_are_over(autojump_clock, seed: int):
    ran = Counter()
    queue = trioq.Queue("q", InMemoryBackend())

    @queue.task
    async def work(number: int) -> int:
        await trio.sleep(1)
        ran[number] += 1
        return number

    queue.backend = chaos = ChaosBackend(queue.backend, seed, rate=0)
    async with queue, trio.open_nursery() as nursery:
        handles = await queue.enqueue_many(work.bind(number) for number in range(50))
        chaos.rate = 0.4
        worker = trioq.Worker(queue, concurrency=5)
        await nursery.start(worker.start)
        await trio.sleep(60)
        chaos.calm()
        assert [await handle.result() for handle in handles] == list(range(50))
        worker.stop()
    assert set(ran) == set(range(50))
    assert {what for _, _, what in chaos.faults} & CALLS


async def test_two_of_them_on_one_store_are_like_two_processes(autojump_clock, tmp_path: Path):
    store = SQLiteBackend(tmp_path / "jobs.db", inline=True)
    async with ChaosBackend(store, 1, rate=0) as one, ChaosBackend(store, 2, rate=0) as other:
        await one.insert([a_job("1")])
        assert await stored(other) == {"1"}
    assert not store.opened
