"""The experiments, in the order in which the page shows them."""

from . import killing, starving, freezing, restarting, cancelling, crowds  # noqa: F401, I001  the order is that of the page
from . import sqlite_file, network, servers, server_disk, redis_server, postgres_server, payloads  # noqa: F401
