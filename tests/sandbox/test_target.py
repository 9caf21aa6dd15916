"""Which functions can run in a sandbox, and what is said of those that can't.  Real processes for real programs."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import pytest

from trioq._core.errors import BadTask
from trioq.sandbox import Target

#: A program with a sandboxed task of its own; what stands under the guard must not run in the task's process.
PROGRAM = """
import trio
from trioq.sandbox import run_handler

def where(text: str) -> list[str]:
    return [__name__, text]

if {guard}:
    print(trio.run(run_handler, where, ["hi"]))
"""


def run_program(folder, *arguments, guard='__name__ == "__main__"'):
    """What the program prints, and the last line of what it complains about."""
    source = PROGRAM.format(guard=guard)
    (folder / "app.py").write_text(source)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        input=source,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.strip(), done.stderr.rstrip().rpartition("\n")[2]


def test_a_function_is_named_by_its_module_and_qualified_name(handlers):
    assert Target.of(handlers.add) == Target("sandboxed", "add")


@pytest.mark.parametrize("kind", ["closure", "lambda", "partial", "instance"])
def test_what_no_other_process_can_import_is_refused(handlers, kind):
    fn = {
        "closure": handlers.outer(),
        "lambda": lambda: None,
        "partial": partial(handlers.add, 1),
        "instance": handlers.decorated,
    }[kind]
    with pytest.raises(BadTask, match="Define it with `def` at the top level of a module"):
        Target.of(fn)


@pytest.mark.slow
def test_a_program_with_a_guard_is_imported_again_under_another_name(tmp_path):
    assert run_program(tmp_path, "app.py") == ("['__trioq_main__', 'hi']", "")


@pytest.mark.slow
def test_a_program_run_as_a_module_is_imported_by_its_name(tmp_path):
    assert run_program(tmp_path, "-m", "app") == ("['app', 'hi']", "")


def test_a_program_without_a_guard_is_refused(tmp_path):
    output, error = run_program(tmp_path, "app.py", guard="'a __main__' != __name__")
    assert not output
    assert 'Put what starts it under `if __name__ == "__main__":`, or move the task to a module' in error


def test_a_program_without_a_file_is_refused(tmp_path):
    output, error = run_program(tmp_path, "-")
    assert not output
    assert "this __main__ has no file. Move it to a module" in error
