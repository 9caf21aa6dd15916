"""Checks of ``get``, ``find``, ``counts`` and ``queues``: what the read verbs show of the store."""

from __future__ import annotations

from ..abc import Backend, Filter
from ..lifecycle import Cancel, Command, Complete, Expire, Reject, State
from ._given import LONG, OTHER, QUEUE, Make, a_job, all_ids, all_jobs, assert_same, held, move, some_jobs


async def check_get_answers_each_id_in_order(make: Make) -> None:
    """A get answers each id in turn, repeats too, with its job, or None where its queue has none of that id."""
    async with make() as backend:
        jobs = list((await backend.insert([*some_jobs(3), a_job("other", queue=OTHER)])).jobs)
        found = (await backend.get(QUEUE, ["2", "unknown", "0", "other", "2"])).jobs
        assert_same(found, [jobs[2], None, jobs[0], None, jobs[2]], "get answers in order")


async def check_have_ended_says_which_jobs_are_final_or_gone(make: Make) -> None:
    """A store says for each id in turn whether its job is final or gone, without the job itself."""
    async with make() as backend:
        jobs = await held(backend, *(a_job(id) for id in ("completed", "failed", "active")))
        await backend.insert([a_job("waiting"), a_job("delayed", delay=LONG), a_job("other", queue=OTHER)])
        await move(backend, jobs[0], Complete())
        await move(backend, jobs[1], Reject("no"))
        asked = ["completed", "waiting", "failed", "unknown", "delayed", "active", "other", "waiting"]
        answers = list(await backend.have_ended(QUEUE, asked))
        assert answers == [True, False, True, True, False, False, True, False], f"the answers were {answers}"
        assert list(await backend.have_ended(QUEUE, [])) == [], "nothing was asked"


async def check_find_answers_what_matches_by_seq(make: Make) -> None:
    """A page has the jobs of the queue in the wanted states and of the wanted task, in order of seq."""
    async with make() as backend:
        jobs = await held(backend, a_job("1"), a_job("2", task="other"), a_job("3"))
        await backend.insert([a_job("4", delay=LONG), a_job("5", task="other"), a_job("6", queue=OTHER)])
        await move(backend, jobs[0], Complete())
        assert await all_ids(backend) == ["1", "2", "3", "4", "5"], "all of the queue"
        assert await all_ids(backend, OTHER) == ["6"], "and of the queue alone"
        assert await all_ids(backend, task="other") == ["2", "5"], "of one task"
        assert await all_ids(backend, states=[State.ACTIVE, State.DELAYED]) == ["2", "3", "4"], "in some states"
        assert await all_ids(backend, states=[State.ACTIVE], task="other") == ["2"], "both"
        assert await all_ids(backend, states=[]) == [], "in no state"


async def check_find_goes_on_where_a_page_ended(make: Make) -> None:
    """However small the pages, all of them together name every job once, also when some vanish in between."""
    async with make() as backend:
        await backend.insert([job for number in range(7) for job in (a_job(str(number)), a_job("x", queue=OTHER))])
        for limit in (1, 2, 3, 7, 8):
            assert await all_ids(backend, limit=limit) == list("0123456"), f"in pages of {limit}"
        page = await backend.find(Filter(queue=QUEUE), None, 3)
        assert await backend.remove(QUEUE, ["1", "2", "3"]) == [True] * 3
        await backend.insert([a_job("new")])
        rest = await backend.find(Filter(queue=QUEUE), page.cursor, 10)
        assert [job.id for job in rest.jobs] == ["4", "5", "6", "new"], "a cursor outlives the jobs around it"


async def check_find_reaches_the_end_of_a_large_queue(make: Make) -> None:
    """A page looks at 1,000 records at most, so it may be short or empty; its cursor leads on to what matches."""
    async with make() as backend:
        await backend.insert([*some_jobs(1_500, task="other"), a_job("needle"), *some_jobs(700, queue=OTHER)])
        await backend.insert([a_job("last")])
        assert await all_ids(backend, task="send") == ["needle", "last"], "all that match, however far apart"
        for limit in (400, 5_000):
            assert len(await all_ids(backend, limit=limit)) == 1_502, "all of them"


async def check_counts_are_exact_for_every_state(make: Make) -> None:
    """Counts name every state, with as many jobs as a full find shows, after every step."""
    async with make() as backend:
        assert await backend.counts("unknown") == dict.fromkeys(State, 0), "every state is there"
        active = await held(backend, *some_jobs(5, ttl=0.0))
        await backend.insert([a_job("a"), a_job("b"), a_job("c", delay=LONG), a_job("d", queue=OTHER)])
        commands: list[Command] = [Complete(), Reject("no"), Expire(), Cancel()]
        for job, command in zip(active, commands, strict=False):
            await move(backend, job, command)
            assert await backend.counts(QUEUE) == await _counted(backend), f"after {command}"
        await backend.remove(QUEUE, ["a", "0"])
        counts = await backend.counts(QUEUE)
        assert counts == await _counted(backend), "after a removal"
        assert counts == dict.fromkeys(State, 1) | {State.COMPLETED: 0, State.BLOCKED: 0}, "one of each is left"


async def _counted(backend: Backend) -> dict[State, int]:
    found = await all_jobs(backend)
    return {state: sum(job.state is state for job in found) for state in State}


async def check_queues_names_what_has_a_record_or_is_paused(make: Make) -> None:
    """A queue is listed while it has a record or is paused; reading from one does not create it."""
    async with make() as backend:
        await backend.insert([a_job("1"), a_job("2", queue=OTHER)])
        await backend.pause("empty")
        await backend.counts("looked at")
        await backend.is_queue_paused("looked at")
        assert sorted(await backend.queues()) == sorted([QUEUE, OTHER, "empty"])
        await backend.remove(OTHER, ["2"])
        await backend.resume("empty")
        assert await backend.queues() == [QUEUE]
