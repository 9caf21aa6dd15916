"""Who is measured, on which store, and with which settings: each in a fast setting, of its docs or found by trying."""

from __future__ import annotations

from typing import Final

import attrs

from .environments import Environment, Node, Ours, Python


@attrs.frozen
class Contender:
    """One job queue on one store."""

    name: str
    store: str
    program: str
    environment: Environment
    settings: str  #: one sentence, for the page
    arguments: dict[str, str] = attrs.field(factory=dict)
    pace: float = 1.0  #: the share of the jobs that it is given, so that those which take long end, too
    limit: bool = False  #: no job queue, but what none can be faster than that gives each job a task

    @property
    def is_trioq(self) -> bool:
        return self.program == "trioq_peer.py"


_OURS: Final = Ours()
_STREAQ: Final = Python("streaq", ("streaq>=7,<8", "trio>=0.35", "uvloop"))
_HUEY: Final = Python("huey", ("huey>=3",))
_ASYNCMQ: Final = Python("asyncmq", ("asyncmq>=0.9,<0.10", "redis[hiredis]", "uvloop"))

CONTENDERS: Final = (
    Contender("trioq on Redis", "Redis", "trioq_peer.py", _OURS, "The defaults."),
    Contender(
        "BullMQ",
        "Redis",
        "bullmq_peer.mjs",
        Node("bullmq", ("bullmq@6", "ioredis@5")),
        "One worker with the concurrency of the workload, ``addBulk`` for many, results kept for an hour.",
    ),
    Contender(
        "streaq on Trio",
        "Redis",
        "streaq_peer.py",
        _STREAQ,
        "The worker's ``concurrency`` as asked, the prefetch that follows from it, ``enqueue_many``.",
        {"loop": "trio"},
        pace=0.1,
    ),
    Contender(
        "streaq on asyncio",
        "Redis",
        "streaq_peer.py",
        _STREAQ,
        "The same on uvloop.",
        {"loop": "asyncio"},
        pace=0.1,
    ),
    Contender(
        "saq",
        "Redis",
        "saq_peer.py",
        Python("saq", ("saq[redis,hiredis]>=0.26,<0.27", "typing_extensions", "uvloop")),
        "uvloop and hiredis; as many dequeuers as slots, each of which blocks until there is a job.",
        pace=0.2,
    ),
    Contender(
        "arq",
        "Redis",
        "arq_peer.py",
        Python("arq", ("arq>=0.28,<0.29", "redis[hiredis]", "uvloop")),
        "uvloop and hiredis; it polls every 10 ms, for every 500, its default, make 2 jobs a second at concurrency 1.",
        {"poll": "0.01"},
        pace=0.05,
    ),
    Contender(
        "taskiq",
        "Redis",
        "taskiq_peer.py",
        Python("taskiq", ("taskiq>=0.13", "taskiq-redis>=1.2,<2", "redis[hiredis]", "uvloop")),
        "uvloop and hiredis; the stream broker, which acknowledges, and results in Redis for an hour.",
        pace=0.2,
    ),
    Contender(
        "AsyncMQ",
        "Redis",
        "asyncmq_peer.py",
        _ASYNCMQ,
        "uvloop and hiredis; its Redis backend.",
        pace=0.15,
    ),
    Contender(
        "trioq on PostgreSQL", "PostgreSQL", "trioq_peer.py", _OURS, "The defaults, with psycopg's C implementation."
    ),
    Contender(
        "PgQueuer",
        "PostgreSQL",
        "pgqueuer_peer.py",
        Python("pgqueuer", ("pgqueuer[asyncpg]>=1.6,<2", "uvloop")),
        "asyncpg and uvloop, 100 jobs a fetch; it runs up to twice as many at a time as it is asked to.",
    ),
    Contender(
        "Procrastinate",
        "PostgreSQL",
        "procrastinate_peer.py",
        Python("procrastinate", ("procrastinate>=3.10,<4", "psycopg[binary]", "uvloop")),
        "uvloop and psycopg's C implementation; notifications on.",
        pace=0.05,
    ),
    Contender(
        "Oban",
        "PostgreSQL",
        "oban_peer.py",
        Python("oban", ("oban>=0.7,<0.8", "psycopg[binary,pool]", "uvloop"), at_least=(3, 12)),
        "uvloop and psycopg's C implementation; its asyncio engine with the queue's limit as asked.",
        pace=0.25,
    ),
    Contender("trioq on SQLite", "SQLite", "trioq_peer.py", _OURS, "The defaults: each commit is flushed to the disk."),
    Contender(
        "huey",
        "SQLite",
        "huey_peer.py",
        _HUEY,
        "The defaults, which flush each commit; 8 threads, or one for each slot where handlers sleep.",
        pace=0.1,
    ),
    Contender(
        "huey, not flushing",
        "SQLite",
        "huey_peer.py",
        _HUEY,
        "The same with ``fsync=False``, which is SQLite's ``synchronous=OFF``: a power cut may break the file.",
        {"fsync": "no"},
        pace=0.1,
    ),
    Contender("trioq in memory", "memory", "trioq_peer.py", _OURS, "The defaults."),
    Contender(
        "AsyncMQ in memory",
        "memory",
        "asyncmq_peer.py",
        _ASYNCMQ,
        "uvloop; its in-memory backend.",
        pace=0.5,
    ),
    Contender(
        "bare Trio loop",
        "memory",
        "bare_loop_peer.py",
        _OURS,
        "No job queue: a nursery, and for each job a task and a cancel scope with a deadline.",
        limit=True,
    ),
)
