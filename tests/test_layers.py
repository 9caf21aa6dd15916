"""Imports point down: the contracts in pyproject.toml hold, and each of them can be broken.

What the contracts say stands in pyproject.toml, under ``[tool.importlinter]``.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINT_IMPORTS = Path(sysconfig.get_path("scripts"), "lint-imports")


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """The linter's verdict on the tree, in a process of its own: it rearranges logging and ``sys.path``."""
    command = [LINT_IMPORTS, "--config", tree / "pyproject.toml", "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


def test_all_import_contracts_hold():
    verdict = lint(ROOT)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("_core/rate.py", "from ..backends import _base", "Imports point down"),
        ("backends/memory.py", "from .. import _queue", "Imports point down"),
        ("_queue.py", "from . import _worker", "Imports point down"),
        ("_worker/__init__.py", "from .. import testing", "Imports point down"),
        ("misplaced.py", "", "Imports point down"),
        ("backends/memory.py", "from . import sqlite", "Backends are strangers to each other"),
        ("_core/rate.py", "import trio", "The core does no I/O"),
        ("_core/lifecycle.py", "import time", "The core does no I/O"),
        ("_core/job.py", "import os", "The core does no I/O"),
        ("_queue.py", "import asyncio", "No asyncio anywhere"),
        ("_queue.py", "import rich", "Only the command line needs its extra"),
        ("_queue.py", "import hypothesis", "trioq never imports its tests' tools"),
    ],
)
def test_a_wrong_import_breaks_its_contract(tmp_path: Path, module: str, line: str, contract: str):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "trioq", tmp_path / "trioq", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "trioq" / module).open("a") as file:
        file.write(f"\n{line}\n")

    verdict = lint(tmp_path)

    assert verdict.returncode == 1
    assert f"{contract} BROKEN" in verdict.stdout, verdict.stdout + verdict.stderr
