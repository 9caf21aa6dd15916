"""Build trioq as it would be released, and use it as a stranger would: from an empty folder, in a fresh environment.

The wheel is built from the sdist, so a file that either of them forgets is found here.  `make wheel` runs this.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: What Python doesn't import and a build so easily leaves out.
DATA = ("py.typed", "*.sql", "*.lua")

#: Runs without the extras, and so must the library.
SMOKE = """
import pathlib, trio, trioq

assert pathlib.Path(trioq.__file__).is_relative_to(pathlib.Path.cwd().parent / "venv"), trioq.__file__

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


def run(*command: str | Path, cwd: Path) -> str:
    """What the command printed; if it fails, that and we end."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\n$ {' '.join(map(str, command))}\nexited with {done.returncode}")
    return done.stdout


def check_files(wheel: Path) -> int:
    """How many files trioq has; all that git keeps under trioq/ of these kinds is in the wheel, and nothing else."""
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    kept = {path.relative_to(ROOT).as_posix() for kind in ("*.py", *DATA) for path in (ROOT / "trioq").rglob(kind)}
    if packed != kept:
        sys.exit(f"missing in the wheel: {sorted(kept - packed)}; not expected in it: {sorted(packed - kept)}")
    return len(packed)


def check_missing_extra(trioq: Path, cwd: Path) -> None:
    """The command is there without its extra, too: it says which one, in one line."""
    done = subprocess.run([trioq, "demo"], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 2 or "trioq[cli]" not in done.stderr or len(done.stderr.splitlines()) != 1:
        sys.exit(f"without its extra, trioq demo should say so in one line and exit with 2: {done}")


def main() -> None:
    """Build, look inside, install, use."""
    with tempfile.TemporaryDirectory(prefix="trioq-wheel-") as folder:
        at = Path(folder).resolve()
        run(sys.executable, "-m", "build", "--outdir", at, ROOT, cwd=at)
        [wheel] = at.glob("*.whl")
        files = check_files(wheel)

        venv.create(at / "venv", with_pip=True)
        python = at / "venv" / "bin" / "python"
        empty = at / "empty"
        empty.mkdir()
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")

        run(*pip, wheel, cwd=empty)
        run(python, "-W", "error", "-c", SMOKE, cwd=empty)
        check_missing_extra(at / "venv/bin/trioq", cwd=empty)

        run(*pip, f"{wheel}[cli]", cwd=empty)
        said = run(at / "venv/bin/trioq", "--version", cwd=empty)
        version = wheel.name.split("-")[1]
        if version not in said:
            sys.exit(f"trioq --version said {said!r}, and the wheel is {version}")
    print(f"{wheel.name}: {files} files, installed, imported and used from an empty folder")


if __name__ == "__main__":
    main()
