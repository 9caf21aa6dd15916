"""Faults in the Redis backend: in its scripts and the Python around them."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_STEPS: Final = "backends/redis/scripts/steps.lua"
_SETTLE: Final = "backends/redis/scripts/settle.lua"
_SETTLE_WHOLE: Final = "backends/redis/scripts/settle_whole.lua"
_RECORDS: Final = "backends/redis/scripts/records.lua"
_PRELUDE: Final = "backends/redis/scripts/prelude.lua"
_ADDITIONS: Final = "backends/redis/scripts/additions.lua"
_RENEW: Final = "backends/redis/scripts/renew.lua"
_CLIENT: Final = "backends/redis/client.py"
_BACKEND: Final = "backends/redis/backend.py"
_ERRORS: Final = "backends/redis/errors.py"
_LISTENER: Final = "backends/redis/listener.py"

MUTANTS: Final = (
    Mutant("a settle ignores the version", _STEPS, "refusal", "job.version ~= step.version", "false"),
    Mutant(
        "a reclaim ignores that the lease was renewed",
        _STEPS,
        "refusal",
        "if step.lease_until ~= '' and job.lease_until ~= step.lease_until then return STALE end",
        "",
    ),
    Mutant(
        "a repeated write is called stale",
        _SETTLE,
        "",
        "return is_stored(step) and STORED or refused",
        "return refused",
    ),
    Mutant(
        "a settle that a full server refuses takes its job from its shelf",
        _STEPS,
        "swap",
        "redis.call('HSET', job.key, 'shelf',",
        "unshelve(job) redis.call('HSET', job.key, 'shelf',",
    ),
    Mutant(
        "a composite change is stored in part",
        _SETTLE_WHOLE,
        "try",
        "if refused then return refused end",
        "if refused then return refused end swap(step, read(step.base, step.id))",
    ),
    Mutant(
        "a job that moves twice in one batch stands on two shelves",
        _STEPS,
        "swap",
        "if moved[job.key] then move_now() end",
        "",
    ),
    Mutant(
        "the rest of a script that broke off is taken for a job",
        _RECORDS,
        "is_there",
        "redis.call('DEL', key) return false",
        "return true",
    ),
    Mutant(
        "a time loses its last digits",
        _PRELUDE,
        "text",
        "return string.format('%.17g', number)",
        "return string.format('%.14g', number)",
    ),
    Mutant(
        "after FLUSHALL a seq is used again", _ADDITIONS, "reserve", "seconds * 1000000 + micros", "1000000000000000"
    ),
    Mutant(
        "a renewal ignores which worker holds the job", _RENEW, "", "and job.worker == worker then local", "then local"
    ),
    Mutant(
        "a renewal extends the lease in the record and not in the index",
        _RENEW,
        "",
        "redis.call('ZADD', base .. 'held', until_then, job.seq .. id)",
        "",
    ),
    Mutant(
        "a caller that leaves during a request cuts the request short",
        _CLIENT,
        "Link.ask",
        "await answer.came.wait()",
        "try:\n    await answer.came.wait()\nfinally:\n    self._unsent.clear()",
    ),
    Mutant("a command is written into the midst of another", _CLIENT, "Link._write", "self._sending", "False"),
    Mutant(
        "a connection to a server that became a replica is kept",
        _ERRORS,
        "is_lost",
        "('READONLY', 'MASTERDOWN', 'LOADING', 'NOAUTH', 'MOVED', 'CLUSTERDOWN')",
        "('MASTERDOWN', 'LOADING', 'NOAUTH', 'MOVED', 'CLUSTERDOWN')",
    ),
    Mutant(
        "a script that the server has forgotten is not sent again",
        _CLIENT,
        "Link.run",
        "self.ask(b'EVAL', script.text, *given)",
        "self.ask(b'EVALSHA', script.sha, *given)",
    ),
    Mutant(
        "a watcher waits for hints while no hint can arrive",
        _LISTENER,
        "Listener.run",
        "nursery.start_soon(self._notify_while_deaf)",
        "",
    ),
    Mutant(
        "after a failover the listener stays with the old server",
        _BACKEND,
        "RedisBackend._connect",
        "self._listener.start_over()",
        "",
    ),
    Mutant(
        "Ctrl-C leaves a command half written",
        _CLIENT,
        "Link._write",
        "trio.lowlevel.enable_ki_protection",
        "lambda function: function",
    ),
)
