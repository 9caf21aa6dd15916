"""Jobs in PostgreSQL: beside the data, for any number of processes on any number of machines.

Nothing here imports psycopg before a `PostgresBackend` is made: ``import trioq`` needs no extra.
"""

from __future__ import annotations

from .backend import PostgresBackend as PostgresBackend
