"""What ``python -m faults`` does where an experiment can't be run at all, and when it is told to end."""

from __future__ import annotations

import pytest

from faults import __main__ as command
from faults.experiment import EXPERIMENTS
from faults.experiments.server_disk import the_disk_of_the_server_is_full
from faults.stores import disk


def no_mount(*_args, **_kwargs):
    raise FileNotFoundError("mount")


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
