"""What ``python -m property_tests.faults`` does where an experiment can't be run at all, and when it is told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from property_tests.faults import __main__ as command
from property_tests.faults.experiment import EXPERIMENTS
from property_tests.faults.experiments.server_disk import the_disk_of_the_server_is_full
from property_tests.faults.stores import disk


def no_mount(*_args, **_kwargs):
    raise FileNotFoundError("mount")


@pytest.mark.slow
async def test_an_experiment_that_cannot_be_run_is_missed_and_not_passed(monkeypatch):
    monkeypatch.setattr(disk.subprocess, "run", no_mount)
    chosen = {the_disk_of_the_server_is_full: ["redis, appendfsync always, small disk"]}
    [missed] = await command._run(chosen, full=True, add=False, quick=True)
    assert "the disk of the server is full, redis, appendfsync always, small disk: not run: a small disk" in missed
    assert the_disk_of_the_server_is_full in EXPERIMENTS


def test_a_small_disk_is_filled_and_given_room():
    try:
        small = disk.Disk()
    except disk.NotHere as error:
        pytest.skip(str(error))
    try:
        small.fill()
        with pytest.raises(OSError, match="No space left"):
            (small.folder / "more").write_bytes(b"more")
        small.make_room()
        (small.folder / "more").write_bytes(b"more")
    finally:
        small.close()
    assert not small.folder.exists()


ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_its_processes_and_its_servers_and_drops_its_folders(number, tmp_path):
    words = [sys.executable, "-m", "property_tests.faults", "--quick", "killed at any moment", "redis"]
    others = []
    command = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        others = until_all_are_there(psutil.Process(command.pid))
        command.send_signal(number)
        assert command.wait(timeout=30) == 128 + number
        _, left = psutil.wait_procs(others, timeout=5)
        assert left == []
    finally:
        for process in (command, *others):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        command.wait()
    assert list(tmp_path.iterdir()) == []


def until_all_are_there(command):
    """Its children and theirs: the server, the fork server, and its children: some workers and a producer."""
    deadline = time.monotonic() + 60
    while len(others := command.children(recursive=True)) < 6:
        assert time.monotonic() < deadline
        assert command.is_running()
        time.sleep(0.05)
    return others
