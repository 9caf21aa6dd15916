"""What goes wrong with PostgreSQL while a worker is at work: it lives, says so in a sentence, and loses no job."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import attrs
import pytest
import trio

import trioq
from tests.postgres_server import PROGRAMS, PostgresServer
from tests.postgres_stores import new_schema
from tests.proxy import Proxy, all_of_them, none, proxy_before
from trioq import BackendError, BackendUnavailable
from trioq.backends.postgres import PostgresBackend
from trioq.lifecycle import Job

#: Seconds within which a worker notices that its server is gone, or is back, on a machine that is busy.
SOON = 15

SCHEMA = "outages"

#: Of a server that ends: whichever is noticed first.
_GONE = "can't be reached|shutting the server down"

#: Whatever writes a job fails: for what no test can do to a whole server without hurting the machine it runs on.
_REFUSING = f"""
CREATE FUNCTION {SCHEMA}.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'no, says the server' USING ERRCODE = '%s'; END $$;
CREATE TRIGGER refusing BEFORE INSERT OR UPDATE ON {SCHEMA}.jobs EXECUTE FUNCTION {SCHEMA}.refuse();
"""


@attrs.frozen
class Trouble:
    """What befalls a server or the way to it, how it ends, and what the worker says of it."""

    name: str
    begin: Callable[[PostgresServer, Proxy], object]
    end: Callable[[PostgresServer, Proxy], object]
    told: str  #: a pattern


def _turn_out(server: PostgresServer) -> None:
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ann'")


def _change_password(server: PostgresServer, proxy: Proxy) -> None:
    server.sql("ALTER ROLE ann PASSWORD 'another'")
    _turn_out(server)


def _lock_out(server: PostgresServer, proxy: Proxy) -> None:
    server.sql("ALTER ROLE ann NOLOGIN")
    _turn_out(server)


def _refuse_writes(server: PostgresServer, refuse: bool) -> None:
    server.sql(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if refuse else 'off'}")
    server.reload()


def refusing(name: str, code: str, told: str) -> Trouble:
    """The server refuses each write with this code."""
    return Trouble(
        name,
        lambda server, _: server.sql(_REFUSING % code),
        lambda server, _: server.sql(f"DROP FUNCTION {SCHEMA}.refuse CASCADE"),
        told,
    )


TROUBLES = [
    Trouble(
        "shutdown",
        lambda server, _: server.stop(),
        lambda server, _: server.start(),
        _GONE,
    ),
    Trouble(
        "crash",
        lambda server, _: server.kill(),
        lambda server, _: server.start(),
        _GONE,
    ),
    Trouble(
        "reset",
        lambda _, proxy: proxy.break_all(),
        lambda _, proxy: proxy.mend(),
        "can't be reached, or the connection broke",
    ),
    Trouble("freeze", lambda server, _: server.freeze(), lambda server, _: server.thaw(), "no answer within 1 s"),
    Trouble(
        "black hole",
        lambda _, proxy: proxy.hold(all_of_them),
        lambda _, proxy: proxy.hold(none),
        "no answer within 1 s",
    ),
    Trouble(
        "failover",
        lambda server, _: _refuse_writes(server, refuse=True),
        lambda server, _: _refuse_writes(server, refuse=False),
        "it takes no writes: a failover is under way, or the URL names a replica",
    ),
    Trouble(
        "password",
        _change_password,
        lambda server, _: server.sql("ALTER ROLE ann PASSWORD 'pw'"),
        "the password of the URL is wrong, or missing",
    ),
    Trouble(
        "locked out",
        _lock_out,
        lambda server, _: server.sql("ALTER ROLE ann LOGIN"),
        "it does not let this user in. Look into pg_hba.conf",
    ),
    Trouble(
        "permissions",
        lambda server, _: server.sql(f"REVOKE INSERT, UPDATE ON {SCHEMA}.jobs FROM ann"),
        lambda server, _: server.sql(f"GRANT INSERT, UPDATE ON {SCHEMA}.jobs TO ann"),
        "this user may not do that. GRANT it",
    ),
    refusing("full disk", "53100", "its disk is full. Make room; until then it takes no writes"),
    refusing("collisions", "40001", "others wrote the same at the same time, again and again"),
    refusing("trigger", "P0001", "the request was refused"),
    refusing("rule of another table", "23505", "the request was refused"),
    refusing("lock timeout", "55P03", "a lock that another session holds was not free in time"),
]


#: Those that are tried for each change; the others where all tests are run.
SAMPLE = ("crash", "freeze", "failover", "permissions")

EACH = [
    pytest.param(trouble, id=trouble.name, marks=[] if trouble.name in SAMPLE else [pytest.mark.slow])
    for trouble in TROUBLES
]


@pytest.fixture(scope="module")
def hers() -> Iterator[PostgresServer]:
    """A server that lets ann in by her password."""
    server = PostgresServer(next(iter(PROGRAMS.values())))
    rules = server.data / "pg_hba.conf"
    rules.write_text("host all ann all scram-sha-256\n" + rules.read_text())
    server.reload()
    server.sql("CREATE ROLE ann LOGIN PASSWORD 'pw'")
    yield server
    server.close()


@pytest.fixture
def server(hers: PostgresServer) -> Iterator[PostgresServer]:
    """The same, with an empty store of hers."""
    new_schema(hers, SCHEMA)
    hers.sql(f"GRANT ALL ON SCHEMA {SCHEMA} TO ann")
    hers.sql(f"GRANT ALL ON ALL TABLES IN SCHEMA {SCHEMA} TO ann")
    hers.sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO ann")
    yield hers
    hers.sql(f"DROP SCHEMA {SCHEMA} CASCADE")


@pytest.fixture
async def proxy(server: PostgresServer) -> AsyncIterator[Proxy]:
    async with proxy_before(server) as proxy:
        proxy.url = f"postgresql://ann:pw@127.0.0.1:{proxy.port}/postgres"
        yield proxy


class Work:
    """A queue whose job runs until it is let go."""

    def __init__(self, url: str) -> None:
        self.queue = trioq.Queue("q", backend=PostgresBackend(url, SCHEMA))
        self.started = trio.Event()
        self.let_go = trio.Event()

        @self.queue.task
        async def hold() -> str:
            self.started.set()
            await self.let_go.wait()
            return "held"

        self.hold = hold

    def worker(self) -> trioq.Worker:
        """With a lease so short that it asks often."""
        return trioq.Worker(self.queue, lease=3)


@pytest.mark.parametrize("trouble", EACH)
async def test_what_can_be_survived_is_and_is_told_when_it_begins_and_when_it_ends(
    server: PostgresServer, proxy: Proxy, trouble: Trouble, at_work, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(proxy.url)
    async with work.queue, trioq.event_emitter.subscribe("backend:*") as events, at_work(work.worker()):
        job = await work.hold.enqueue()
        await work.started.wait()
        with trio.fail_after(SOON):
            trouble.begin(server, proxy)
            assert (await anext(events)).name == "backend:lost"
            while not re.search(trouble.told, caplog.text):  # noqa: ASYNC110  nothing tells when a line is logged
                await trio.sleep(0.01)
            work.let_go.set()  # its outcome waits
            trouble.end(server, proxy)
            assert (await anext(events)).name == "backend:recovered"
            assert await job.result() == "held"
            assert await (await work.hold.enqueue()).result() == "held"
        record = await job.refresh()
        assert (record.run, record.failures, record.crashes) == (1, 0, 0)
        assert "pw@" not in caplog.text


@pytest.mark.slow
async def test_connections_that_are_ended_again_and_again_lose_no_job(server: PostgresServer, at_work) -> None:
    work = Work(server.url)
    work.let_go.set()
    done = trio.Event()

    async def end_them() -> None:
        while not done.is_set():
            server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trioq'")
            await trio.sleep(0.05)

    async with trio.open_nursery() as nursery, work.queue, at_work(work.worker()):
        nursery.start_soon(end_them)
        jobs = []
        with trio.fail_after(4 * SOON):
            while len(jobs) < 50:
                with trio.move_on_after(5):
                    try:
                        jobs.append(await work.hold.options(id=str(len(jobs))).enqueue())
                    except BackendUnavailable:
                        await trio.sleep(0.01)
            done.set()
            for job in jobs:
                assert await job.result() == "held"


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES[5:], ids=lambda trouble: trouble.name)
async def test_who_enqueues_is_told_in_one_sentence(server: PostgresServer, proxy: Proxy, trouble: Trouble) -> None:
    numbers = count()

    async def answer() -> str:
        """What an insert is told."""
        await trio.sleep(0.01)
        try:
            await backend.insert([Job(id=str(next(numbers)), queue="q", task="t")])
        except BackendUnavailable as error:
            return str(error)
        return "stored"

    async with PostgresBackend(proxy.url, SCHEMA) as backend:
        assert await answer() == "stored"
        trouble.begin(server, proxy)
        with trio.fail_after(SOON):
            while not re.search(trouble.told, sentence := await answer()):
                pass
            assert "\n" not in sentence
            trouble.end(server, proxy)
            while await answer() != "stored":
                pass


async def test_a_schema_that_goes_away_is_missed_and_found_again(
    server: PostgresServer, at_work, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(server.url)
    async with work.queue, at_work(work.worker()):
        job = await work.hold.enqueue()
        await work.started.wait()
        server.sql(f"ALTER SCHEMA {SCHEMA} RENAME TO elsewhere")
        with pytest.raises(BackendUnavailable, match="trioq migrate"), trio.fail_after(SOON):
            await work.hold.enqueue()
        with trio.fail_after(SOON):
            while "trioq migrate" not in caplog.text:  # noqa: ASYNC110  nothing tells when a line is logged
                await trio.sleep(0.01)
            server.sql(f"ALTER SCHEMA elsewhere RENAME TO {SCHEMA}")
            work.let_go.set()
            assert await job.result() == "held"


async def test_who_was_never_let_in_is_not_kept_waiting(server: PostgresServer) -> None:
    wrong = server.url.replace("postgres@", "ann:wrong@")
    with pytest.raises(BackendError, match="the password of the URL is wrong") as caught:
        async with PostgresBackend(wrong, SCHEMA):
            pass
    assert not isinstance(caught.value, BackendUnavailable)
