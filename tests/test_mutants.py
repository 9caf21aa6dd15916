"""Each mutant can be made, and the page has them all.  ``make mutants`` shows that tests notice them."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import psutil  # comes with the wheel of the servers
import pytest
import trio

from property_tests.mutants import blind
from property_tests.mutants.catalogue import every_mutant
from property_tests.mutants.catchers import run_alone
from property_tests.mutants.mutant import Mutant
from property_tests.mutants.report import where

ROOT = Path(__file__).parent.parent
MUTANTS = list(every_mutant())

LIFECYCLE = dedent("""\
    def claim(job, now):
        return {"run": job.run + 1, "started_at": now}

    class Job:
        def claimed(self):
            self.run = self.run + 1
            self.tell()
            return self.run
    """)
QUERIES = dedent("""\
    -- name: claim
    -- Take the first jobs.
    SELECT * FROM jobs WHERE shelf = 'ready' ORDER BY priority, seq LIMIT 1;

    -- name: peek
    SELECT * FROM jobs ORDER BY priority, seq;
    """)
SCRIPT = dedent("""\
    local function claim(job)
      job.run = job.run + 1  -- the first run is 1
      return job
    end

    local function renew(job)
      job.run = job.run + 1
    end
    """)


def test_every_mutant_can_be_made_and_is_still_python():
    for mutant in MUTANTS:
        text = mutant.source(ROOT).read_text(encoding="utf-8")
        broken = mutant.apply(text)
        assert broken != text
        if mutant.file.endswith(".py"):
            compile(broken, mutant.file, "exec")


def test_no_two_mutants_of_a_file_have_the_same_sentence():
    assert len({(mutant.file, mutant.name) for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize(
    ("file", "text", "place", "right", "wrong", "broken"),
    [
        ("x.py", LIFECYCLE, "claim", "job.run + 1", "job.run", '{"run": job.run, "started_at": now}'),
        ("x.py", LIFECYCLE, "Job.claimed", "self.tell()", "", "self.run = self.run + 1\n        pass\n"),
        (
            "x.py",
            LIFECYCLE,
            "Job.claimed",
            "self.tell()\nreturn self.run",
            "return 1",
            "self.run + 1\n        return 1",
        ),
        ("x.sql", QUERIES, "claim", "ORDER BY priority, seq", "ORDER BY seq", "'ready' ORDER BY seq LIMIT 1;"),
        ("x.lua", SCRIPT, "claim", "job.run + 1", "job.run", "job.run = job.run  -- the first run is 1\n  return job"),
    ],
)
def test_a_mutant_changes_one_definition_and_nothing_else(file, text, place, right, wrong, broken):
    made = Mutant("a fault", file, place, right, wrong).apply(text)
    assert broken.replace('"', "'") in made.replace('"', "'")


def test_a_reformatted_function_still_takes_its_mutant():
    mutant = Mutant("a claim counts no run", "x.py", "claim", "{'run': job.run + 1, 'started_at': now}", "{}")
    moved = dedent("""\
        LIMIT = 1

        def claim(job, now):
            # A comment, another layout, and a line before it.
            return {
                "run": (job.run + 1),  # the first run is 1
                "started_at": now,
            }
        """)
    assert "return {}" in mutant.apply(LIFECYCLE)
    assert "return {}" in mutant.apply(moved)
    query = Mutant("a claim ignores priorities", "x.sql", "claim", "ORDER BY priority, seq", "ORDER BY seq")
    assert "ORDER BY seq LIMIT" in query.apply(
        QUERIES.replace("BY priority, ", "BY  -- the most urgent one\n  priority,")
    )


@pytest.mark.parametrize(
    ("file", "text", "place", "right", "why"),
    [
        ("x.py", LIFECYCLE, "claim", "job.run + 2", "'job.run . 2' is there 0x"),
        ("x.py", LIFECYCLE, "", "self.run", "'self.run' is there 2x"),
        ("x.py", LIFECYCLE, "Job.settled", "self.run", "'settled' is defined 0x"),
        ("x.sql", QUERIES, "", "ORDER BY priority", "'ORDER BY priority' is there 2x"),
        ("x.sql", QUERIES, "settle", "ORDER BY priority", "'settle' is defined 0x"),
        ("x.lua", SCRIPT, "renew", "job.run - 1", "'job.run - 1' is there 0x"),
    ],
)
def test_a_mutant_whose_code_has_changed_says_so(file, text, place, right, why):
    with pytest.raises(LookupError, match=f"has changed, so change the mutant 'a fault': {why}"):
        Mutant("a fault", file, place, right, "None").apply(text)


def test_the_page_has_each_mutant_and_no_other():
    page = (ROOT / "docs" / "spec" / "mutants.rst").read_text(encoding="utf-8")
    rows = csv.reader((line.strip() for line in page.splitlines() if line.startswith('   "')), skipinitialspace=True)
    found = [(name, place) for name, place, _, _ in rows]
    assert found == [(mutant.name, where(mutant)) for mutant in MUTANTS], "run `make mutants`, which writes the page"
    assert page.count("\n") <= 300


def test_ten_mutants_and_more_are_by_an_author_who_had_not_seen_the_properties():
    assert len(blind.MUTANTS) >= 10


#: Starts a server in a session of its own, as the tests start PostgreSQL, names it, and hangs or is killed.
HANGS = """
import os, subprocess, sys, tempfile, time
folder = tempfile.mkdtemp(prefix="trioq-")
serve = "trap 'rm memory; exit' TERM; touch memory; sleep 1000 & wait"
server = subprocess.Popen(["sh", "-c", serve], start_new_session=True, cwd=folder)
while not os.path.exists(f"{folder}/memory"):
    time.sleep(0.01)
open(sys.argv[1], "w").write(f"{os.getpid()} {server.pid}")
if sys.argv[2] == "killed":
    os.kill(os.getpid(), 9)
time.sleep(1000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere orphans can't be found")
@pytest.mark.parametrize("end", ["cancelled", "killed"])
async def test_a_catcher_leaves_no_process_behind_and_no_memory_of_a_server(end, tmp_path):
    told = tmp_path / "told"
    with trio.fail_after(60), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_alone, ["-c", HANGS, str(told), end], ROOT, tmp_path)
            pids = await trio.to_thread.run_sync(_told, told)
            if end == "cancelled":
                scope.cancel()  # as the deadline of a catcher does, and Ctrl-C
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    assert list(tmp_path.glob("trioq-*/memory")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere orphans can't be found")
def test_a_catcher_whose_runner_was_killed_leaves_no_process_behind(tmp_path):
    told = tmp_path / "told"
    alone = [sys.executable, "-m", "property_tests.mutants.alone", sys.executable, "-c", HANGS, str(told), "hangs"]
    start = f"import subprocess, time; subprocess.Popen({alone!r}, start_new_session=True); time.sleep(1000)"
    runner = subprocess.Popen([sys.executable, "-c", start], cwd=ROOT, env={"TMPDIR": str(tmp_path)})
    pids = _told(told)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    _, left = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=60)
    assert left == []


def _told(file: Path) -> list[int]:
    """The processes that it has started, once it has."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = file.read_text(encoding="utf-8").split() if file.exists() else []
        if len(found) == 2:
            return [int(pid) for pid in found]
        time.sleep(0.05)
    raise TimeoutError("no process has started")
