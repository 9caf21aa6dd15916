"""Jobs in Redis or Valkey: for any number of processes on any number of machines.

Nothing here imports coredis before a `RedisBackend` is made: ``import trioq`` needs no extra.
"""

from __future__ import annotations

from .backend import RedisBackend as RedisBackend
