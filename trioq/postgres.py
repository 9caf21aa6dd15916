"""Connections to PostgreSQL on Trio: for your own queries and transactions, beside those of trioq.

They are psycopg's connections, with all that these have.  Importing this module needs the extra:
``pip install "trioq[postgres]"``.
"""

from ._exports import publish as _publish
from .backends.postgres.connection import Connection as Connection
from .backends.postgres.connection import connect as connect

_publish(__name__, globals())
