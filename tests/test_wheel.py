"""trioq as it would be released, used from an empty folder, in a fresh environment.

The wheel is built from the sdist, so a file that either of them forgets is found here.
"""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: What Python doesn't import and a build so easily leaves out.
DATA = ("py.typed", "*.sql", "*.lua")

#: Runs without the extras, and so must the library.
SMOKE = """
import pathlib, sys, trio, trioq

assert pathlib.Path(trioq.__file__).is_relative_to(sys.prefix), trioq.__file__

async def main(url):
    queue = trioq.Queue("smoke", backend=url)

    @queue.task
    async def double(x: int) -> int:
        return 2 * x

    async with queue:
        job = await double.enqueue(21)
        with trio.fail_after(30):
            await trioq.Worker(queue).run_until_idle()
            assert await job.result() == 42, url

for url in "memory:", "sqlite:jobs.db":
    trio.run(main, url)
"""


def run(*command: str | Path, cwd: Path, exit_code: int = 0) -> str:
    """What the command printed, after it ended as it should."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == exit_code, f"{done.stdout}\n$ {' '.join(map(str, command))}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)  # it builds twice, and installs from a registry
def test_the_wheel_has_every_file_and_works_from_an_empty_folder_without_and_with_the_extra_of_the_command(tmp_path):
    run(sys.executable, "-m", "build", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    [wheel] = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == {
        path.relative_to(ROOT).as_posix() for kind in ("*.py", *DATA) for path in (ROOT / "trioq").rglob(kind)
    }

    venv.create(tmp_path / "venv", with_pip=True)
    commands, empty = tmp_path / "venv" / "bin", tmp_path / "empty"
    empty.mkdir()
    pip = (commands / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")

    run(*pip, wheel, cwd=empty)
    run(commands / "python", "-W", "error", "-c", SMOKE, cwd=empty)
    [line] = run(commands / "trioq", "demo", cwd=empty, exit_code=2).splitlines()
    assert "trioq[cli]" in line

    run(*pip, f"{wheel}[cli]", cwd=empty)
    assert wheel.name.split("-")[1] in run(commands / "trioq", "--version", cwd=empty)
