"""The examples of the documentation run, and print what their pages show.

Beside each script in docs/examples lies a transcript, which the page includes: commands after ``$``, and under each
what it prints.  ``...`` stands for anything.
"""

from __future__ import annotations

import doctest
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"

PYTHON = {
    "python": [sys.executable, "-u", "-W", "error"],
    "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
}


def commands(transcript: Path) -> Iterator[tuple[str, str]]:
    """Each command of a transcript, with what it prints."""
    for part in ("\n" + transcript.read_text(encoding="utf-8")).split("\n$ ")[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed.rstrip("\n")


def run(command: str, folder: Path) -> str:
    program, *arguments = shlex.split(command)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*PYTHON[program], *arguments],
        cwd=folder,
        env={name: value for name, value in environment.items() if not name.startswith("TRIOQ_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # a terminal shows both, in this order
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}"
    return done.stdout


def same(expected: str, printed: str) -> bool:
    return doctest.OutputChecker().check_output(expected + "\n", printed + "\n", doctest.ELLIPSIS)


#: Those that are run for each change; the others where all tests are run.
SAMPLE = ("orders", "tutorial_1")

EACH = [
    pytest.param(path, id=path.stem, marks=[] if path.stem in SAMPLE else [pytest.mark.slow])
    for path in sorted(EXAMPLES.glob("*.txt"))
]


@pytest.mark.parametrize("transcript", EACH)
def test_an_example_prints_what_its_page_shows(transcript: Path, tmp_path: Path):
    folder = shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    for command, expected in commands(transcript):
        printed = run(command, folder).rstrip("\n")
        assert same(expected, printed), f"$ {command}\n{printed}\n--- the page says:\n{expected}"


def test_every_example_is_shown_on_a_page_and_run():
    shown = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.rst"))
    run_here = "".join(transcript.read_text(encoding="utf-8") for transcript in EXAMPLES.glob("*.txt"))
    for example in EXAMPLES.iterdir():
        if example.suffix in (".py", ".txt", ".ini"):
            assert f"examples/{example.name}" in shown, f"{example.name} is on no page"
        if example.suffix == ".py" and example.stem != "conftest":
            assert example.name in run_here or example.stem in run_here, f"no transcript runs {example.name}"
