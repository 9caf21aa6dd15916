"""trioq: a Trio-native job queue.  Everything public is imported here, and defined elsewhere.

::

    queue = trioq.Queue("emails", backend="sqlite:emails.db")


    @queue.task(max_retries=3)
    async def send(to: str) -> str: ...


    trio.run(trioq.Worker(queue).start)
"""

import logging

from ._bus import EventEmitter as EventEmitter
from ._bus import Subscription as Subscription
from ._bus import event_emitter as event_emitter
from ._context import CurrentJob as CurrentJob
from ._context import current_job as current_job
from ._core.backoff import Backoff as Backoff
from ._core.backoff import Exponential as Exponential
from ._core.backoff import Fixed as Fixed
from ._core.backoff import Linear as Linear
from ._core.backoff import Steps as Steps
from ._core.errors import BackendBusy as BackendBusy
from ._core.errors import BackendError as BackendError
from ._core.errors import BackendNotOpen as BackendNotOpen
from ._core.errors import BackendUnavailable as BackendUnavailable
from ._core.errors import BadName as BadName
from ._core.errors import BadTask as BadTask
from ._core.errors import DuplicateTask as DuplicateTask
from ._core.errors import ExtraMissing as ExtraMissing
from ._core.errors import IdTaken as IdTaken
from ._core.errors import JobCancelled as JobCancelled
from ._core.errors import JobError as JobError
from ._core.errors import JobExpired as JobExpired
from ._core.errors import JobFailed as JobFailed
from ._core.errors import JobNotFound as JobNotFound
from ._core.errors import NoCurrentJob as NoCurrentJob
from ._core.errors import NotAllStored as NotAllStored
from ._core.errors import NotATrioqDatabase as NotATrioqDatabase
from ._core.errors import NoTransaction as NoTransaction
from ._core.errors import NotSerializable as NotSerializable
from ._core.errors import PayloadTooLarge as PayloadTooLarge
from ._core.errors import SchemaMissing as SchemaMissing
from ._core.errors import SchemaTooNew as SchemaTooNew
from ._core.errors import TrioqError as TrioqError
from ._core.errors import UnknownQueue as UnknownQueue
from ._core.errors import UnknownScheme as UnknownScheme
from ._core.errors import Unsupported as Unsupported
from ._core.errors import WorkerRunning as WorkerRunning
from ._core.errors import WrongArguments as WrongArguments
from ._core.job import Job as Job
from ._core.lifecycle import next_retry_delay as next_retry_delay
from ._core.outcome import Reject as Reject
from ._core.outcome import Retry as Retry
from ._core.outcome import Snooze as Snooze
from ._core.settings import Settings as Settings
from ._exports import publish as _publish
from ._handle import JobHandle as JobHandle
from ._queue import Queue as Queue
from ._rate_limiter import RateLimiter as RateLimiter
from ._rate_limiter import RateLimiterStatistics as RateLimiterStatistics
from ._settings import settings as settings
from ._task import Bound as Bound
from ._task import Call as Call
from ._task import Options as Options
from ._task import Task as Task
from ._transaction import QueueInTransaction as QueueInTransaction
from ._version import __version__ as __version__
from ._worker.asyncmq_api import _run_with_limits as _run_with_limits
from ._worker.asyncmq_api import handle_job as handle_job
from ._worker.asyncmq_api import process_job as process_job
from ._worker.worker import Worker as Worker
from ._worker.worker import WorkerStatistics as WorkerStatistics
from .backends import open_backend as open_backend
from .backends.memory import InMemoryBackend as InMemoryBackend
from .backends.postgres import PostgresBackend as PostgresBackend
from .backends.redis import RedisBackend as RedisBackend
from .backends.sqlite import SQLiteBackend as SQLiteBackend

_publish(__name__, globals())

# Imported after the line above has set `__module__`, so that `trioq.lifecycle.Job` says that it is `trioq.Job`.
from . import abc as abc  # noqa: E402
from . import events as events  # noqa: E402
from . import lifecycle as lifecycle  # noqa: E402
from . import sandbox as sandbox  # noqa: E402

# An application decides where log records go.  Without this handler, Python would print warnings to stderr.
logging.getLogger(__name__).addHandler(logging.NullHandler())
