"""Imports point down: the contracts in pyproject.toml hold, and each of them can be broken.

What the contracts say stands in pyproject.toml, under ``[tool.importlinter]``.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parent.parent
LINT_IMPORTS = Path(sysconfig.get_path("scripts"), "lint-imports")


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """The linter's verdict on the tree, in a process of its own: it rearranges logging and ``sys.path``."""
    command = [LINT_IMPORTS, "--config", tree / "pyproject.toml", "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


def test_all_import_contracts_hold():
    verdict = lint(ROOT)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


#: A line for a module of trioq, what the linter says of it, and the contract that it breaks.
WRONG: Final = (
    ("_core/rate.py", "from ..backends import _base", "trioq._core.rate -> trioq.backends._base", "Imports point down"),
    ("backends/memory.py", "from .. import _queue", "trioq.backends.memory -> trioq._queue", "Imports point down"),
    ("_queue.py", "from . import _worker", "trioq._queue -> trioq._worker", "Imports point down"),
    ("_worker/__init__.py", "from .. import testing", "trioq._worker -> trioq.testing", "Imports point down"),
    ("misplaced.py", "", "trioq.misplaced", "Imports point down"),
    (
        "backends/memory.py",
        "from . import sqlite",
        "memory -> trioq.backends.sqlite",
        "Backends are strangers to each other",
    ),
    ("_core/rate.py", "import trio", "trioq._core.rate -> trio ", "The core does no I/O"),
    ("_core/lifecycle.py", "import time", "trioq._core.lifecycle -> time", "The core does no I/O"),
    ("_core/job.py", "import os", "trioq._core.job -> os", "The core does no I/O"),
    ("_queue.py", "import asyncio", "trioq._queue -> asyncio", "No asyncio anywhere"),
    ("_queue.py", "import rich", "trioq._queue -> rich", "Only the command line needs its extra"),
    ("_queue.py", "import coredis", "trioq._queue -> coredis", "One file knows the extra of Redis"),
    ("_queue.py", "import psycopg", "trioq._queue -> psycopg", "One package knows psycopg"),
    ("_queue.py", "import hypothesis", "trioq._queue -> hypothesis", "trioq never imports its tests' tools"),
)


def test_each_wrong_import_breaks_its_contract(tmp_path: Path):
    """All at once, since the linter takes seconds; it names each under the contract that it breaks."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "trioq", tmp_path / "trioq", ignore=shutil.ignore_patterns("__pycache__"))
    for module, line, *_ in WRONG:
        with (tmp_path / "trioq" / module).open("a") as file:
            file.write(f"\n{line}\n")

    verdict = lint(tmp_path)

    assert verdict.returncode == 1
    told = verdict.stdout.partition("Broken contracts\n")[2]
    for *_, import_, contract in WRONG:
        section = told.partition(f"\n{contract}\n---")[2].partition("\n\n\n\n")[0]
        assert import_ in section, f"{import_} does not break {contract!r}: {verdict.stdout}"
