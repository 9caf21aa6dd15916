"""The events, one class each: what ``event_emitter`` hands to subscribers."""

from ._core.events import BackendLost as BackendLost
from ._core.events import BackendRecovered as BackendRecovered
from ._core.events import Event as Event
from ._core.events import JobCancelled as JobCancelled
from ._core.events import JobCompleted as JobCompleted
from ._core.events import JobEnqueued as JobEnqueued
from ._core.events import JobEvent as JobEvent
from ._core.events import JobExpired as JobExpired
from ._core.events import JobFailed as JobFailed
from ._core.events import JobLost as JobLost
from ._core.events import JobProgress as JobProgress
from ._core.events import JobReleased as JobReleased
from ._core.events import JobRequeued as JobRequeued
from ._core.events import JobRetrying as JobRetrying
from ._core.events import JobSnoozed as JobSnoozed
from ._core.events import JobStalled as JobStalled
from ._core.events import JobStarted as JobStarted
from ._core.events import QueuePaused as QueuePaused
from ._core.events import QueueResumed as QueueResumed
from ._core.events import WorkerDraining as WorkerDraining
from ._core.events import WorkerEvent as WorkerEvent
from ._core.events import WorkerStarted as WorkerStarted
from ._core.events import WorkerStopped as WorkerStopped
from ._exports import publish as _publish

_publish(__name__, globals())
