"""Jobs in a SQLite file: durable, for any number of processes on one machine, with nothing to install."""

from __future__ import annotations

from .backend import SQLiteBackend as SQLiteBackend
