"""Handlers in processes of their own, killed with their children on timeout or cancel.

Knows callables and bytes; jobs, queues and workers live elsewhere.  This guards a worker against handlers that block,
leak or crash; it is no defence against hostile code.
"""

from .._exports import publish as _publish
from ._pool import Sandbox as Sandbox
from ._pool import run_payload as run_payload
from ._process import ProcessDied as ProcessDied
from ._run_handler import SandboxError as SandboxError
from ._run_handler import run_handler as run_handler
from ._target import Target as Target

_publish(__name__, globals())
