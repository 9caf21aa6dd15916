"""The job state machine: pure, and a specification that can be imported.

``step(job, command, now)`` over `TABLE` is the only thing that moves a job; ``job.after(change)`` is the new record.
"""

from ._core.job import Job as Job
from ._core.job import Shelf as Shelf
from ._core.job import State as State
from ._core.job import broken_rules as broken_rules
from ._core.lifecycle import TABLE as TABLE
from ._core.lifecycle import Admission as Admission
from ._core.lifecycle import Cancel as Cancel
from ._core.lifecycle import Change as Change
from ._core.lifecycle import Claim as Claim
from ._core.lifecycle import Command as Command
from ._core.lifecycle import Complete as Complete
from ._core.lifecycle import Expire as Expire
from ._core.lifecycle import Fail as Fail
from ._core.lifecycle import IllegalStep as IllegalStep
from ._core.lifecycle import Reclaim as Reclaim
from ._core.lifecycle import Reject as Reject
from ._core.lifecycle import Release as Release
from ._core.lifecycle import Requeue as Requeue
from ._core.lifecycle import Rule as Rule
from ._core.lifecycle import Snooze as Snooze
from ._core.lifecycle import admit as admit
from ._core.lifecycle import advance as advance
from ._core.lifecycle import command_for as command_for
from ._core.lifecycle import next_retry_delay as next_retry_delay
from ._core.lifecycle import stamp as stamp
from ._core.lifecycle import step as step
from ._core.outcome import BadPayload as BadPayload
from ._core.outcome import CancelledByUser as CancelledByUser
from ._core.outcome import Expired as Expired
from ._core.outcome import Interrupted as Interrupted
from ._core.outcome import LeaseLost as LeaseLost
from ._core.outcome import Outcome as Outcome
from ._core.outcome import Raised as Raised
from ._core.outcome import Rejected as Rejected
from ._core.outcome import RetryAsked as RetryAsked
from ._core.outcome import Returned as Returned
from ._core.outcome import Snoozed as Snoozed
from ._core.outcome import TimedOut as TimedOut
from ._core.outcome import UnknownTask as UnknownTask
from ._exports import publish as _publish

_publish(__name__, globals())
