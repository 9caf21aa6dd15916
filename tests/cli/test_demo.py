"""``trioq demo``: the jobs of a small folder, its closing table, and what a signal leaves behind."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import termios
from pathlib import Path

import pytest
import trio

import trioq

#: A file whose warnings must not be seen, and one with four definitions.
GOOD = {
    "doubtful.py": 'pattern = "\\d"\n',
    "inner/defines.py": "class A:\n    def f(self): ...\n\nasync def g(): ...\n\ndef h(): ...\n",
    "inner/copy.py": 'pattern = "\\d"\n',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good files, and one that can't be parsed."""
    folder = tmp_path / "sources"
    for name, source in GOOD.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    (folder / "inner" / "broken.py").write_text("def f(:\n")
    (folder / "no_source.txt").write_text("def f(:\n")
    return folder


def rows(text: str) -> dict[str, str]:
    """The closing table."""
    found = [line.strip().partition("  ") for line in text.splitlines()]
    return {name: value.strip() for name, _, value in found}


@pytest.mark.slow
def test_the_closing_table_tells_what_became_of_each_file(run, folder: Path):
    done = run("-m", "trioq", "demo", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    table = rows(done.stdout)
    assert table["jobs"] == "4 ended: completed 3, dead letters 1"
    assert table["retries"] == "2"
    assert table["source"] == "94 bytes, 8 lines"
    assert table["definitions"] == "functions 3, classes 1"
    assert table["duplicates"] == "1, by SHA-256"
    assert table["inner/broken.py"] == "SyntaxError: invalid syntax"
    assert table["jobs a second"].endswith("at once)")
    assert table["pick-up latency"].startswith("p50 ")
    assert "left" not in table
    assert "4 of 4 done" in done.stdout
    assert "waiting 0   in backoff 0   running 0   completed 3   dead 1   retries 2\n" in done.stdout
    assert "\x1b" not in done.stdout  # nothing is redrawn where nothing can be


@pytest.mark.slow
def test_where_every_file_parses_three_broken_ones_are_added(run, folder: Path):
    (folder / "inner" / "broken.py").unlink()
    done = run("-m", "trioq", "demo", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert "All of them parse. Here are three broken files" in done.stdout
    table = rows(done.stdout)
    assert table["jobs"] == "6 ended: completed 3, dead letters 3"
    assert {"unfinished.py", "no_such_coding.py", "not_utf8.py"} <= set(table)
    assert not list(folder.rglob("unfinished.py"))


@pytest.mark.slow
def test_it_runs_on_another_store(run, folder: Path):
    done = run("-m", "trioq", "demo", str(folder), "--backend", "memory:", "--concurrency", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 jobs on memory:" in done.stdout
    assert "1 at once)" in rows(done.stdout)["jobs a second"]


@pytest.mark.slow
def test_a_signal_drains_and_what_is_left_is_finished_by_a_worker(run, start, environ, folder: Path, tmp_path: Path):
    for number in range(2_000):
        (folder / f"many{number}.py").write_text("a = 1\n" * 100)
    url = f"sqlite:{tmp_path}/demo.db"
    demo = start("-m", "trioq", "demo", str(folder), "--backend", url)
    shown = ""
    while "running 2" not in shown and "running 1" not in shown:
        shown = demo.stdout.readline()
        assert shown, demo.stderr.read()
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=60)
    assert (demo.returncode, err) == (0, "")
    left = int(rows(out)["left"].partition(":")[0].replace(",", ""))
    assert left > 0
    advice = f"TRIOQ_BACKEND={url} trioq worker trioq.cli.demo.tasks:queue"
    assert advice in out

    async def finish() -> dict[str, int]:
        async with trioq.Queue("demo", backend=url) as queue:
            before = await queue.counts()
            assert before["waiting"] + before["delayed"] == left
            waiting = [job.id async for job in queue.jobs("waiting")]
            helper = start("-m", "trioq", "worker", "trioq.cli.demo.tasks:queue", env=environ | {"TRIOQ_BACKEND": url})
            with trio.fail_after(60):
                for id in waiting[:20]:
                    await queue.wait_ended(id)
            helper.send_signal(signal.SIGTERM)
            await trio.to_thread.run_sync(helper.communicate)
            assert helper.returncode == 0
            return await queue.counts()

    counts = trio.run(finish)
    assert counts["active"] == 0
    assert sum(counts.values()) == 2_004


@pytest.mark.slow
def test_on_a_terminal_the_display_is_redrawn_in_place(start, folder: Path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    environ = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(Path(trioq.__file__).parents[1])}
    demo = start("-m", "trioq", "demo", str(folder), stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    shown = b""
    try:
        while more := os.read(ours, 65536):
            shown += more
    except OSError:  # Linux: the other end is closed
        pass
    finally:
        os.close(ours)
    assert demo.wait(60) == 0
    text = shown.decode()
    assert text.count("\x1b[2K") > 4  # lines that were drawn over
    assert "4 of 4" in text.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "SyntaxError: invalid syntax" in text
    assert "\x1b[?25h" in text  # the cursor is back
