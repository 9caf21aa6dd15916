"""Extension points: what to implement for your own store, and what its verbs take and return."""

from ._exports import publish as _publish
from .backends._base import Backend as Backend
from .backends._base import Claimed as Claimed
from .backends._base import Filter as Filter
from .backends._base import Found as Found
from .backends._base import Hint as Hint
from .backends._base import Inserted as Inserted
from .backends._base import Lease as Lease
from .backends._base import Loss as Loss
from .backends._base import Overdue as Overdue
from .backends._base import Page as Page
from .backends._base import Presence as Presence
from .backends._base import Renewed as Renewed
from .backends._base import Retention as Retention
from .backends._base import Settled as Settled
from .backends._base import Verdict as Verdict

_publish(__name__, globals())
