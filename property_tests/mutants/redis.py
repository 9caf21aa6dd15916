"""Faults in the Redis backend: in its scripts, and the Python around them."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_SCRIPTS: Final = "backends/redis/scripts"
_PRELUDE: Final = f"{_SCRIPTS}/prelude.lua"
_ENDS: Final = f"{_SCRIPTS}/ends.lua"
_RECORDS: Final = f"{_SCRIPTS}/records.lua"
_ADDITIONS: Final = f"{_SCRIPTS}/additions.lua"
_STEPS: Final = f"{_SCRIPTS}/steps.lua"
_CLAIM: Final = f"{_SCRIPTS}/claim.lua"
_SETTLE: Final = f"{_SCRIPTS}/settle.lua"
_WHOLE: Final = f"{_SCRIPTS}/settle_whole.lua"
_RENEW: Final = f"{_SCRIPTS}/renew.lua"
_CALLS: Final = "backends/_calls.py"
_MERGER: Final = "backends/_merger.py"
_OFFICE: Final = "backends/redis/office.py"
_MOVES: Final = "backends/redis/moves.py"
_LISTENER: Final = "backends/redis/listener.py"

MUTANTS: Final = (
    # --- the scripts ---
    Mutant(
        "a settle ignores the version",
        _STEPS,
        "job.seq ~= step.seq or job.version ~= step.version then",
        "job.seq ~= step.seq then",
    ),
    Mutant(
        "a settle ignores the seq: a removed job's writer hits the new one of its id",
        _STEPS,
        "if not job or job.seq ~= step.seq or job",
        "if not job or job",
    ),
    Mutant(
        "a reclaim ignores that the lease was renewed",
        _STEPS,
        "if step.lease_until ~= '' and job.lease_until ~= step.lease_until then return STALE end",
        "",
    ),
    Mutant(
        "a repeated write is called stale",
        _SETTLE,
        "return is_stored(step) and STORED or refused",
        "return refused",
    ),
    Mutant(
        "every write that comes too late is called stored",
        _STEPS,
        "if redis.call('HGET', key, arguments[i]) ~= arguments[i + 1] then return false end",
        "",
    ),
    Mutant(
        "a settle that a full server refuses takes its job off its shelf",
        _STEPS,
        "  redis.call('HSET', job.key, 'shelf', landing",
        "  unshelve(job)\n  redis.call('HSET', job.key, 'shelf', landing",
    ),
    Mutant(
        "a change of several parts is stored half",
        _WHOLE,
        "    if refused then return refused end\n    move(",
        "    if refused then return refused end\n    swap(step, read(step.base, step.id))\n    move(",
    ),
    Mutant(
        "a composite change forgets its new jobs",
        _WHOLE,
        "for i, new in ipairs(news) do add(new, before + i) end",
        "",
    ),
    Mutant(
        "a requeue takes a unique key that another live job holds",
        _STEPS,
        "if other and other ~= job.id then return KEY_TAKEN end",
        "",
    ),
    Mutant(
        "a job that moves twice in one batch lies in two places",
        _STEPS,
        "  if moved[job.key] then move_now() end\n",
        "",
    ),
    Mutant(
        "the cancel of a held job rings for nobody",
        _STEPS,
        "if shelf == 'held' and job.state == 'cancelled' then ring(step.base, CANCELLED) end",
        "",
    ),
    Mutant(
        "a job that came back on its last life is claimed with the others",
        _STEPS,
        "return last_life(change({crashes = job.crashes, max_crashes = job.max_crashes}, step)) and 'alone' or 'ready'",
        "return 'ready'",
    ),
    Mutant(
        "an ended job keeps its unique key",
        _RECORDS,
        "    redis.call('HDEL', job.base .. 'keys', job.unique_key)\n  end\nend\n\n-- Forget",
        "  end\nend\n\n-- Forget",
    ),
    Mutant(
        "a removed job leaves its unique key behind",
        _RECORDS,
        "if job.unique_key and holder(job.base, job.unique_key) == job.id then",
        "if false then",
    ),
    Mutant(
        "a unique key belongs to whoever asked last",
        f"{_SCRIPTS}/insert.lua",
        "new.unique_key ~= '' and owner(new.base, new.unique_key) or nil",
        "nil",
    ),
    Mutant(
        "an id that came up twice in one batch is added twice",
        f"{_SCRIPTS}/insert.lua",
        "added[new.key] or some_exist and is_there(new.base, id)",
        "some_exist and is_there(new.base, id)",
    ),
    Mutant(
        "an id whose record exists is added anew",
        f"{_SCRIPTS}/insert.lua",
        "added[new.key] or some_exist and is_there(new.base, id)",
        "added[new.key]",
    ),
    Mutant(
        "only the first thousand of a batch are asked after",
        _RECORDS,
        "unpack(keys, first, math.min(first + MOST - 1, #keys))) > 0",
        "unpack(keys, 1, math.min(MOST, #keys))) > 0",
    ),
    Mutant(
        "what a script left that broke off half-way is taken for a job",
        _RECORDS,
        "  redis.call('DEL', key)\n  return false\n",
        "  return true\n",
    ),
    Mutant(
        "a job is on its last life one crash too late",
        _RECORDS,
        ">= tonumber(job.max_crashes) - 1",
        ">= tonumber(job.max_crashes)",
    ),
    Mutant(
        "a claim serves the largest priority first",
        _RECORDS,
        "tonumber(job.priority) + 32768",
        "32768 - tonumber(job.priority)",
    ),
    Mutant(
        "ready jobs are in order to the second",
        _RECORDS,
        "'%05d%020.9f', tonumber(job.priority) + 32768, tonumber(job.run_at)",
        "'%05d%020.9f', tonumber(job.priority) + 32768, math.floor(tonumber(job.run_at))",
    ),
    Mutant(
        "all jobs of a batch have the priority of the first",
        _RECORDS,
        "if job.priority ~= last.priority or job.run_at ~= last.run_at then",
        "if job.run_at ~= last.run_at then",
    ),
    Mutant(
        "all jobs of a batch are ready when the first one is",
        _RECORDS,
        "if job.priority ~= last.priority or job.run_at ~= last.run_at then",
        "if job.priority ~= last.priority then",
    ),
    Mutant(
        "what a waiting job needs is not read where it ends",
        _RECORDS,
        "if WAITS[shelf] or not ends then",
        "if not ends then",
    ),
    Mutant(
        "times lose their last digits",
        _PRELUDE,
        "return string.format('%.17g', number)",
        "return string.format('%.14g', number)",
    ),
    Mutant(
        "after FLUSHALL seqs begin again",
        _ADDITIONS,
        "seconds * 1000000 + micros)\n  redis.call('SET'",
        "1000000000000000)\n  redis.call('SET'",
    ),
    Mutant(
        "a queue without jobs is listed for ever",
        _ENDS,
        "    redis.call('SREM', GLOBAL .. 'queues', name)\n",
        "",
    ),
    Mutant(
        "a script that asks for no queue names no key: a cluster lets it begin on the wrong server",
        "backends/redis/looks.py",
        '_ALL_QUEUES: Final = ("",)',
        "_ALL_QUEUES: Final[Sequence[str]] = ()",
    ),
    Mutant(
        "hints are not published",
        _ENDS,
        "redis.pcall('PUBLISH', channel, hint .. ' ' .. ARGV[3])",
        "",
    ),
    Mutant("a claim counts no run", _CLAIM, "'run', job.run + 1,", "'run', math.max(job.run, 1),"),
    Mutant(
        "a claim leaves the version",
        _CLAIM,
        "'version', job.version + 1,",
        "'version', job.version,",
    ),
    Mutant(
        "a claim fills its limit from each queue",
        _CLAIM,
        "lease_from(index, 'ready', limit - #claimed, claimed)",
        "lease_from(index, 'ready', limit, claimed)",
    ),
    Mutant(
        "a claim ignores a pause",
        _CLAIM,
        "    paused[#paused + 1] = i\n",
        "    paused[#paused + 1] = i\n    open[#open + 1] = i\n",
    ),
    Mutant(
        "a poison pill goes to a busy worker",
        _CLAIM,
        "if frail and idle and limit > 0 then",
        "if frail and limit > 0 then",
    ),
    Mutant(
        "every timed job is promoted, due or not",
        _CLAIM,
        "'timed', '-inf', moment, 'LIMIT'",
        "'timed', '-inf', '+inf', 'LIMIT'",
    ),
    Mutant(
        "due jobs are promoted a moment late",
        _CLAIM,
        "'timed', '-inf', moment, 'LIMIT'",
        "'timed', '-inf', '(' .. moment, 'LIMIT'",
    ),
    Mutant(
        "next_due is that of the last queue and not the earliest",
        _CLAIM,
        "if due and (not next_due or due < next_due) then",
        "if due then",
    ),
    Mutant(
        "a claimed job may still expire",
        _CLAIM,
        "  bulk('ZREM', base .. 'expiring', expiring)\n",
        "",
    ),
    Mutant(
        "a claim tells nobody whose lease it is",
        _CLAIM,
        "  bulk('SADD', base .. 'held:' .. worker, ids)\n",
        "",
    ),
    Mutant(
        "a renewal ignores the run: a stale owner revives its lease",
        _RENEW,
        "elseif job.run == run and job.shelf == 'held' and job.worker == worker then",
        "elseif job.shelf == 'held' and job.worker == worker then",
    ),
    Mutant(
        "a renewal ignores the holder: after a server lost the tail, two hold the same run",
        _RENEW,
        "elseif job.run == run and job.shelf == 'held' and job.worker == worker then",
        "elseif job.run == run and job.shelf == 'held' then",
    ),
    Mutant(
        "a renewal extends the record and not the index: healthy jobs are reclaimed",
        _RENEW,
        "    redis.call('ZADD', base .. 'held', until_then, job.seq .. id)\n",
        "",
    ),
    Mutant(
        "a renewal without progress wipes the one before",
        _RENEW,
        "if progress ~= '' then redis.call('HSET', key, 'progress', progress) end",
        "redis.call('HDEL', key, 'progress') if progress ~= '' then redis.call('HSET', key, 'progress', progress) end",
    ),
    Mutant(
        "a cancelled job's lease is called reclaimed",
        _RENEW,
        "job.run == run and job.state == 'cancelled' and 'cancelled' or 'reclaimed'",
        "'reclaimed'",
    ),
    Mutant(
        "an active job can be removed",
        f"{_SCRIPTS}/remove.lua",
        "job and job.shelf ~= 'held' and 1 or 0",
        "job and 1 or 0",
    ),
    Mutant(
        "prune forgets how many are kept",
        f"{_SCRIPTS}/prune.lua",
        "redis.call('ZCARD', key) - most, batch - dropped)",
        "redis.call('ZCARD', key) - most - 1, batch - dropped)",
    ),
    Mutant(
        "a page begins with the last record of the one before",
        f"{_SCRIPTS}/find.lua",
        "'(' .. cursor, '+inf'",
        "cursor, '+inf'",
    ),
    Mutant(
        "a worker counts as there long after its lease",
        f"{_SCRIPTS}/workers.lua",
        "'(' .. moment, '+inf'",
        "'(' .. text(now - 60), '+inf'",
    ),
    Mutant(
        "a resume resumes nothing",
        f"{_SCRIPTS}/pause.lua",
        "  redis.call('DEL', base .. 'paused')\n",
        "",
    ),
    # --- the Python around them ---
    Mutant(
        "the reply to a claim says another lease than the store",
        _MOVES,
        '                    "lease_until": until,\n',
        '                    "lease_until": now,\n',
    ),
    Mutant(
        "a colon in the name of a queue leads into another",
        "backends/redis/keys.py",
        '_ESCAPES: Final = {"%": "%25", ":": "%3A"}',
        "_ESCAPES: Final[dict[str, str]] = {}",
    ),
    Mutant(
        "each of a merged group gets the answer to the first",
        _MERGER,
        "            start += len(items)\n",
        "",
    ),
    Mutant(
        "a merged group may have any number of bytes",
        _MERGER,
        "if group and (count > _MERGED or size > _MERGED_BYTES):",
        "if group and count > _MERGED:",
    ),
    Mutant(
        "what is refused fails its whole group",
        _MERGER,
        "            for each in group:\n                await self._send([each])\n            return\n",
        "            pass\n",
    ),
    Mutant(
        "a call that was cancelled in its group goes with it",
        _CALLS,
        "self.withdrawn = not self.left\n        return self.withdrawn",
        "return not self.left",
    ),
    Mutant(
        "a write that has left is cancelled like a read",
        _CALLS,
        "            if call.withdraw():\n                raise\n        waiting.shield",
        "            raise\n        waiting.shield",
    ),
    Mutant(
        "a write to redis that has left is cancelled like a read",
        "backends/_office.py",
        "with trio.move_on_after(patience - self._time_to_end, shield=True) as waiting:",
        "with trio.move_on_after(patience - self._time_to_end) as waiting:",
    ),
    Mutant(
        "who is in a hurry breaks the connection of all",
        _OFFICE,
        "return link.silence >= _SILENCE",
        "return True",
    ),
    Mutant(
        "who leaves in the midst of a request cuts it short",
        "backends/redis/client.py",
        "        await answer.came.wait()\n",
        "        try:\n            await answer.came.wait()\n        finally:\n            self._unsent.clear()\n",
    ),
    Mutant(
        "what the socket has taken is sent once more",
        "backends/redis/client.py",
        "del self._unsent[: self._socket.send(self._unsent)]",
        "self._socket.send(self._unsent)",
    ),
    Mutant(
        "a command leaves a turn of the loop later",
        "backends/redis/client.py",
        "        if self._socket is not None:\n",
        "        if self._socket is None:\n",
    ),
    Mutant(
        "a command cuts into one that is being sent",
        "backends/redis/client.py",
        "        if self._sending:\n            return\n",
        "",
    ),
    Mutant(
        "who finds the connection broken is told so in other words",
        "backends/redis/client.py",
        "with suppress(OSError):",
        "with suppress(BlockingIOError):",
    ),
    Mutant(
        "a connection that broke is kept",
        _OFFICE,
        "self._link is not None and self._link.usable else None",
        "self._link is not None else None",
    ),
    Mutant(
        "who gives up while it opens leaves a task behind",
        "backends/redis/backend.py",
        "                await self._office.close()\n            raise\n",
        "                await trio.lowlevel.checkpoint()\n            raise\n",
    ),
    Mutant(
        "leases of an earlier run hurry a backend that opens again",
        "backends/redis/backend.py",
        "        self._leases = Leases()\n",
        "        self._leases = getattr(self, '_leases', None) or Leases()\n",
    ),
    Mutant(
        "a link to a replica is kept",
        "backends/redis/errors.py",
        'code_of(error) in ("READONLY", "MASTERDOWN",',
        'code_of(error) in ("MASTERDOWN",',
    ),
    Mutant(
        "a script that the server has forgotten is not sent again",
        "backends/redis/client.py",
        'self.ask(b"EVAL", script.text,',
        'self.ask(b"EVALSHA", script.sha,',
    ),
    Mutant(
        "a listener that hears nothing sleeps",
        _LISTENER,
        "            nursery.start_soon(self._ring_while_deaf)\n",
        "",
    ),
    Mutant(
        "after a failover the old server is listened to",
        "backends/redis/backend.py",
        "                self._listener.start_over()\n",
        "",
    ),
    Mutant(
        "a password that was changed spoils what is under way",
        "backends/redis/errors.py",
        "kind = BackendUnavailable if admitted else BackendError",
        "kind = BackendError",
    ),
    Mutant(
        "its own message rings again",
        _LISTENER,
        "if sender != self._me:",
        "if True:",
    ),
)
