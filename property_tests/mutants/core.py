"""Faults in the pure core: the state machine, backoff, rates, payloads, the wire, outcomes, settings."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_LIFECYCLE: Final = "_core/lifecycle.py"
_BACKOFF: Final = "_core/backoff.py"
_RATE: Final = "_core/rate.py"
_WIRE: Final = "_core/wire.py"
_PAYLOAD: Final = "_core/payload.py"
_OUTCOME: Final = "_core/outcome.py"
_SETTINGS: Final = "_core/settings.py"

MUTANTS: Final = (
    # --- the state machine ---
    Mutant(
        "a job fails for good one retry too early",
        _LIFECYCLE,
        "failures > job.max_retries",
        "failures >= job.max_retries",
    ),
    Mutant(
        "a retry is not counted",
        _LIFECYCLE,
        'return {**_delay(now + command.delay), "failures": failures, "error": command.error}',
        'return {**_delay(now + command.delay), "error": command.error}',
    ),
    Mutant(
        "a job survives one crash too many",
        _LIFECYCLE,
        "crashes >= job.max_crashes",
        "crashes > job.max_crashes",
    ),
    Mutant("a claim begins no new run", _LIFECYCLE, '"run": job.run + 1', '"run": job.run'),
    Mutant(
        "a step leaves the version",
        _LIFECYCLE,
        'fields["version"] = job.version + 1',
        'fields["version"] = job.version',
    ),
    Mutant(
        "a delayed job may be claimed before it is due",
        _LIFECYCLE,
        "job.run_at <= now or job.state is State.WAITING",
        "True",
    ),
    Mutant(
        "a job with a TTL may be expired at any time",
        _LIFECYCLE,
        "None and now >= job.expires_at\n\n\ndef _lease",
        "None\n\n\ndef _lease",
    ),
    Mutant(
        "a job expires a moment after its TTL ran out",
        _LIFECYCLE,
        "None and now >= job.expires_at\n\n\ndef _lease",
        "None and now > job.expires_at\n\n\ndef _lease",
    ),
    Mutant(
        "a lease runs out a moment late",
        _LIFECYCLE,
        "job.lease_until <= now",
        "job.lease_until < now",
    ),
    Mutant(
        "a lease may be reclaimed while it lasts",
        _LIFECYCLE,
        "            when=_lease_ran_out,\n",
        "",
    ),
    Mutant(
        "a release makes a job ready before its time",
        _LIFECYCLE,
        '        "state": State.DELAYED if job.run_at > now else State.WAITING,\n',
        '        "state": State.WAITING,\n',
    ),
    Mutant(
        "a release spends an attempt",
        _LIFECYCLE,
        '        "failures": job.failures,\n        "crashes": job.crashes,\n',
        '        "failures": job.failures + 1,\n        "crashes": job.crashes,\n',
    ),
    Mutant(
        "a release can be mistaken for a reclaim",
        _LIFECYCLE,
        '        "failures": job.failures,\n        "crashes": job.crashes,\n        "snoozes": job.snoozes,\n    }\n',
        "    }\n",
    ),
    Mutant(
        "an ended job can be cancelled",
        _LIFECYCLE,
        "        Cancel: Rule(_LIVE,",
        "        Cancel: Rule(_LIVE | _FINAL,",
    ),
    Mutant(
        "a job that is parked can't be cancelled",
        _LIFECYCLE,
        "        Cancel: Rule(_LIVE,",
        "        Cancel: Rule(_LIVE - {State.BLOCKED},",
    ),
    Mutant(
        "a completed job can't be requeued",
        _LIFECYCLE,
        "Requeue: Rule(_FINAL,",
        "Requeue: Rule(_FINAL - {State.COMPLETED},",
    ),
    Mutant(
        "a running job can be sent round again",
        _LIFECYCLE,
        "Requeue: Rule(_FINAL,",
        "Requeue: Rule(_FINAL | _ACTIVE,",
    ),
    Mutant(
        "a job that nobody holds can be completed",
        _LIFECYCLE,
        "Complete: Rule(_ACTIVE,",
        "Complete: Rule(_ACTIVE | {State.WAITING},",
    ),
    Mutant(
        "a delayed job can't expire",
        _LIFECYCLE,
        "            frozenset({State.WAITING, State.DELAYED, State.ACTIVE}),",
        "            frozenset({State.WAITING, State.ACTIVE}),",
    ),
    Mutant(
        "a job that is to be retried is told of as failed",
        _LIFECYCLE,
        "{State.DELAYED: events.JobRetrying, State.FAILED: events.JobFailed}",
        "{State.DELAYED: events.JobFailed, State.FAILED: events.JobFailed}",
    ),
    Mutant("a requeue leaves the crashes", _LIFECYCLE, '        "crashes": 0,\n', ""),
    Mutant(
        "a requeued job keeps its old TTL",
        _LIFECYCLE,
        'else now + job.ttl,\n        "started',
        'else job.expires_at,\n        "started',
    ),
    Mutant(
        "a requeue leaves the old error",
        _LIFECYCLE,
        '        "error": None,\n        "cancel_reason"',
        '        "cancel_reason"',
    ),
    Mutant(
        "a snooze spends an attempt",
        _LIFECYCLE,
        '"snoozes": job.snoozes + 1',
        '"failures": job.failures + 1',
    ),
    Mutant(
        "a reclaimed job keeps its lease",
        _LIFECYCLE,
        '"crashes": crashes, "lease_until": None',
        '"crashes": crashes',
    ),
    Mutant(
        "a completed job keeps the error of an earlier run",
        _LIFECYCLE,
        '        "result": command.result,\n        "error": None,',
        '        "result": command.result,',
    ),
    Mutant(
        "a rejected job gets another try",
        _LIFECYCLE,
        "    return _finish(State.FAILED, now, failures=job.failures + 1, error=command.error)",
        "    return _fail(job, Fail(command.error, 0.0), now)",
    ),
    Mutant(
        "a reclaim names no lease to compare",
        _LIFECYCLE,
        "job.lease_until if type(command) is Reclaim else None",
        "None",
    ),
    Mutant("a run_at in the past stays there", _LIFECYCLE, "max(now, job.run_at)", "job.run_at"),
    Mutant(
        "an expired job is admitted",
        _LIFECYCLE,
        "        return Admission.EXPIRED",
        "        return Admission.RUN",
    ),
    Mutant(
        "the backoff is asked for the failure before",
        _LIFECYCLE,
        "delay(job.failures + 1, roll)",
        "delay(job.failures, roll)",
    ),
    Mutant(
        "a payload that can't be read has no command",
        _LIFECYCLE,
        "case Rejected(error) | BadPayload(error):",
        "case Rejected(error):",
    ),
    Mutant(
        "a retry after no time waits its backoff",
        _LIFECYCLE,
        "if after is None else after)",
        "if not after else after)",
    ),
    Mutant(
        "a job's last life is noticed one crash too late",
        "_core/job.py",
        "self.crashes >= self.max_crashes - 1",
        "self.crashes >= self.max_crashes",
    ),
    # --- backoff ---
    Mutant("the first wait is the second", _BACKOFF, "** (failures - 1)", "** failures"),
    Mutant(
        "the backoff is uncapped",
        _BACKOFF,
        "full = min(self.max_delay, self.base * growth)",
        "full = (self.base * growth)",
    ),
    Mutant("the millionth failure overflows", _BACKOFF, "except OverflowError:", "except ZeroDivisionError:"),
    Mutant("nothing times endless is no number", _BACKOFF, "if self.base else 0.0", "if True else 0.0"),
    Mutant(
        "jitter lengthens a wait",
        _BACKOFF,
        "return full * (1 - self.jitter * roll)",
        "return full * (1 + self.jitter * roll)",
    ),
    Mutant(
        "jitter is seconds, and no share",
        _BACKOFF,
        "return full * (1 - self.jitter * roll)",
        "return full - self.jitter * roll",
    ),
    Mutant("a wait may be NaN", _BACKOFF, "not 0 <= value <= float_info.max", "value < 0"),
    Mutant(
        "the steps begin anew after the last one",
        _BACKOFF,
        "min(failures, len(self.delays)) - 1",
        "(failures - 1) % len(self.delays)",
    ),
    Mutant(
        "two policies have one name on the wire",
        _BACKOFF,
        '    "linear": Linear,',
        '    "linear": Fixed,',
    ),
    # --- rates ---
    Mutant(
        "a token comes back after half its interval",
        _RATE,
        "self._spent[0] + self.interval <= now",
        "self._spent[0] + self.interval / 2 <= now",
    ),
    Mutant(
        "a token comes back a moment late",
        _RATE,
        "self._spent[0] + self.interval <= now",
        "self._spent[0] + self.interval < now",
    ),
    Mutant("tokens in hand are handed out again", _RATE, "self.limit - self.held - len", "self.limit - len"),
    Mutant(
        "tokens come back that nobody took",
        _RATE,
        "        if not 0 <= count <= self.held:",
        "        if count < 0:",
    ),
    Mutant(
        "a negative number of tokens is taken",
        _RATE,
        "max(0, min(wanted, self.available(now)))",
        "min(wanted, self.available(now))",
    ),
    Mutant("the newest start is forgotten first", _RATE, "self._spent.popleft()\n\n", "self._spent.pop()\n\n"),
    # --- the wire ---
    Mutant("fields of a newer trioq get lost", _WIRE, "extra=record)", "extra={})"),
    Mutant(
        "anything but null passes for a record",
        _WIRE,
        "if not isinstance(record, dict):",
        "if record is None:",
    ),
    Mutant("a record of any format is read", _WIRE, "if version != FORMAT:", "if version is None:"),
    Mutant(
        "a broken record raises a TypeError",
        _WIRE,
        "TypeError, ValueError, RecursionError",
        "ValueError, RecursionError",
    ),
    Mutant(
        "options of a newer trioq get lost",
        _WIRE,
        "_encode({**job.extra, **packed})",
        "_encode(packed)",
    ),
    Mutant(
        "a record's types are not checked",
        _WIRE,
        "        plain = msgspec.convert(known, kind)",
        "        return known",
    ),
    # --- payloads ---
    Mutant(
        "a number that JSON would change is let through", _PAYLOAD, "else not lacks_numbers(value, back)", "else True"
    ),
    Mutant(
        "one and True are the same",
        "_core/fidelity.py",
        "if type(left) is not type(right):",
        "if left is None and right is not None:",
    ),
    Mutant(
        "lists of one length are the same",
        "_core/fidelity.py",
        "if len(left) != len(right) or not all(map(same, left, right)):",
        "if len(left) != len(right):",
    ),
    Mutant(
        "an argument nested too deep is a RecursionError",
        _PAYLOAD,
        "        except (ValueError, RecursionError) as error:\n            raise Not",
        "        except ValueError as error:\n            raise Not",
    ),
    Mutant("an argument that JSON would change is let through", _PAYLOAD, "        if not kept:", "        if False:"),
    Mutant(
        "a payload of just the limit is refused", _PAYLOAD, "    if len(data) > limit:", "    if len(data) >= limit:"
    ),
    # --- outcomes ---
    Mutant(
        "a Retry beside a ValueError is a retry",
        _OUTCOME,
        "isinstance(leaf, (Signal, cancelled)) for",
        "isinstance(leaf, (Signal, cancelled, ValueError)) for",
    ),
    Mutant(
        "a Retry counts only when it is alone",
        _OUTCOME,
        "if isinstance(leaf, Retry):\n",
        "if isinstance(leaf, Retry) and len(leaves) == 1:\n",
    ),
    Mutant(
        "signals are looked for in one level of groups",
        _OUTCOME,
        "            yield from leaves_of(inner)",
        "            yield inner",
    ),
    Mutant(
        "notes stand where the message should",
        _OUTCOME,
        "bare.__notes__ = []",
        "bare.__notes__ = bare.__notes__",
    ),
    Mutant("a message of two lines ends with its second", _OUTCOME, '.replace("\\n", " ")', ""),
    Mutant(
        "an error text outgrows 64 KiB by its summary",
        _OUTCOME,
        "MAX_ERROR_BYTES - len(summary.encode()) - 1",
        "MAX_ERROR_BYTES",
    ),
    # --- settings ---
    Mutant(
        "a lease of no seconds is accepted",
        _SETTINGS,
        "value > least if above else value >= least",
        "value >= least",
    ),
    Mutant("True is a number of slots", _SETTINGS, "or isinstance(value, bool) or value < least", "or value < least"),
    Mutant(
        "an empty environment variable is none",
        _SETTINGS,
        "name in environ:",
        "environ.get(name):",
    ),
    Mutant("a lease may be endless", _SETTINGS, "and abs(value) <= float_info.max", ""),
)
