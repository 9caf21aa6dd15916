"""Break the core on purpose and see the properties notice: ``python property_tests/mutations.py [word ...]``.

Each mutation is one wrong turn that somebody could take.  It is made in a copy, never here; a mutation that no
property kills means that a property is missing.  Words pick the mutations whose line contains one of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]


class Mutation(NamedTuple):
    """In this *module* of the core *right* becomes *wrong*, and a property must fail."""

    module: str
    right: str
    wrong: str


MUTATIONS: Final = [
    Mutation("lifecycle", "failures > job.max_retries", "failures >= job.max_retries"),
    Mutation("lifecycle", "crashes >= job.max_crashes", "crashes > job.max_crashes"),
    Mutation("lifecycle", '"run": job.run + 1', '"run": job.run'),
    Mutation("lifecycle", 'fields["version"] = job.version + 1', 'fields["version"] = job.version'),
    Mutation("lifecycle", "job.state is State.WAITING or job.run_at <= now", "True"),
    Mutation("lifecycle", "None and now >= job.expires_at\n\n\ndef _lease", "None\n\n\ndef _lease"),
    Mutation("lifecycle", "job.lease_until <= now", "job.lease_until < now"),
    Mutation("lifecycle", "State.DELAYED if job.run_at > now else State.WAITING, ", "State.WAITING, "),
    Mutation("lifecycle", "        Cancel: Rule(_LIVE,", "        Cancel: Rule(_LIVE | _FINAL,"),
    Mutation("lifecycle", "Requeue: Rule(_FINAL,", "Requeue: Rule(_FINAL - {State.COMPLETED},"),
    Mutation("lifecycle", '        "crashes": 0,\n', ""),
    Mutation("lifecycle", 'else now + job.ttl,\n        "started', 'else job.expires_at,\n        "started'),
    Mutation("lifecycle", '"snoozes": job.snoozes + 1', '"failures": job.failures + 1'),
    Mutation("lifecycle", '"crashes": crashes, "lease_until": None', '"crashes": crashes'),
    Mutation(
        "lifecycle",
        '        "result": command.result,\n        "error": None,',
        '        "result": command.result,',
    ),
    Mutation("lifecycle", "job.lease_until if type(command) is Reclaim else None", "None"),
    Mutation("lifecycle", "max(now, job.run_at)", "job.run_at"),
    Mutation("lifecycle", "        return Admission.EXPIRED", "        return Admission.RUN"),
    Mutation("lifecycle", "now >= job.expires_at:", "now > job.expires_at:"),
    Mutation("lifecycle", "delay(job.failures + 1, roll)", "delay(job.failures, roll)"),
    Mutation("lifecycle", "case Rejected(error) | BadPayload(error):", "case Rejected(error):"),
    Mutation("lifecycle", "if after is None else after)", "if not after else after)"),
    Mutation("job", "self.crashes >= self.max_crashes - 1", "self.crashes >= self.max_crashes"),
    Mutation("backoff", "** (failures - 1)", "** failures"),
    Mutation("backoff", "except OverflowError:", "except ZeroDivisionError:"),
    Mutation("backoff", "if self.base else 0.0", "if True else 0.0"),
    Mutation("backoff", "return full * (1 - self.jitter * roll)", "return full * (1 + self.jitter * roll)"),
    Mutation("backoff", "return full * (1 - self.jitter * roll)", "return full - self.jitter * roll"),
    Mutation("backoff", "not 0 <= value <= float_info.max", "value < 0"),
    Mutation("backoff", "min(failures, len(self.delays)) - 1", "(failures - 1) % len(self.delays)"),
    Mutation("rate", "self._spent[0] + self.interval <= now", "self._spent[0] + self.interval / 2 <= now"),
    Mutation("rate", "self._spent[0] + self.interval <= now", "self._spent[0] + self.interval < now"),
    Mutation("rate", "self.limit - self.held - len", "self.limit - len"),
    Mutation("rate", "        if not 0 <= count <= self.held:", "        if count < 0:"),
    Mutation("rate", "max(0, min(wanted, self.available(now)))", "min(wanted, self.available(now))"),
    Mutation("rate", "self._spent.popleft()\n\n", "self._spent.pop()\n\n"),
    Mutation("wire", "extra=record)", "extra={})"),
    Mutation("wire", "if not isinstance(record, dict):", "if record is None:"),
    Mutation("wire", "if version != FORMAT:", "if version is None:"),
    Mutation("wire", "TypeError, ValueError, RecursionError", "ValueError, RecursionError"),
    Mutation("wire", "_encode({**job.extra, **packed})", "_encode(packed)"),
    Mutation("wire", "        plain = msgspec.convert(known, kind)", "        return known"),
    Mutation("payload", "else not lacks_numbers(value, back)", "else True"),
    Mutation("fidelity", "if type(left) is not type(right):", "if left is None and right is not None:"),
    Mutation(
        "fidelity",
        "if len(left) != len(right) or not all(map(same, left, right)):",
        "if len(left) != len(right):",
    ),
    Mutation(
        "payload",
        "        except (ValueError, RecursionError) as error:\n            raise Not",
        "        except ValueError as error:\n            raise Not",
    ),
    Mutation("payload", "        if not kept:", "        if False:"),
    Mutation(
        "payload",
        "    if len(data) > limit:",
        "    if len(data) >= limit:",
    ),
    Mutation(
        "outcome",
        "isinstance(leaf, (Signal, cancelled)) for",
        "isinstance(leaf, (Signal, cancelled, ValueError)) for",
    ),
    Mutation("outcome", "if isinstance(leaf, Retry):\n", "if isinstance(leaf, Retry) and len(leaves) == 1:\n"),
    Mutation("outcome", "            yield from _leaves(inner)", "            yield inner"),
    Mutation("outcome", "bare.__notes__ = []", "bare.__notes__ = bare.__notes__"),
    Mutation("outcome", '.replace("\\n", " ")', ""),
    Mutation("outcome", "MAX_ERROR_BYTES - len(summary.encode()) - 1", "MAX_ERROR_BYTES"),
    Mutation("settings", "value > least if above else value >= least", "value >= least"),
    Mutation("settings", "or isinstance(value, bool) or value < least", "or value < least"),
    Mutation("settings", "name in environ:", "environ.get(name):"),
    Mutation("settings", "and abs(value) <= float_info.max", ""),
]

#: The suite of a module that has none of its own name.
_SUITES: Final = {"job": "lifecycle", "fidelity": "payload"}


def survives(mutation: Mutation, tree: Path) -> bool:
    """Whether the properties stay green although the core is broken."""
    path = tree / "trioq" / "_core" / f"{mutation.module}.py"
    whole = path.read_text()
    if mutation.right not in whole:
        raise SystemExit(f"the core has changed, so change this mutation: {mutation}")
    path.write_text(whole.replace(mutation.right, mutation.wrong, 1))
    try:
        return properties_hold(f"test_{_SUITES.get(mutation.module, mutation.module)}.py", tree)
    finally:
        path.write_text(whole)


def properties_hold(suite: str, tree: Path) -> bool:
    """Whether this part of the suite is green; a suite that can't even be run proves nothing, and ends the script."""
    flags = ["-qx", "--import-mode=importlib", "-p", "no:cacheprovider", "--no-header", "--tb=short"]
    command = [sys.executable, "-m", "pytest", *flags, f"property_tests/{suite}"]
    environ = {**os.environ, "HYPOTHESIS_PROFILE": "mutations"}
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout + done.stderr)
    return done.returncode == 0


def main(words: list[str]) -> None:
    """Try each mutation; exit with the number of survivors."""
    survivors = 0
    with TemporaryDirectory(prefix="mutations-") as folder:
        tree = Path(folder)
        for part in ("trioq", "property_tests"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        for mutation in MUTATIONS:
            line = f"{mutation.module}: {mutation.right!r} -> {mutation.wrong!r}"
            if not words or any(word in line for word in words):
                alive = survives(mutation, tree)
                survivors += alive
                print("SURVIVED" if alive else "killed  ", line, flush=True)  # noqa: T201 - it is a script
    raise SystemExit(survivors)


if __name__ == "__main__":
    main(sys.argv[1:])
