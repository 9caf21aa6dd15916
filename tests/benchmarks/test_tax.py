"""The tax on reliability: what is to be left out is out, or the figures would compare a store with itself."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from benchmarks.tax import MAKERS, unfenced
from trioq.abc import Verdict
from trioq.backends.sqlite import queries
from trioq.lifecycle import Complete, Job, step


@pytest.mark.parametrize("store", MAKERS)
@pytest.mark.parametrize("jobs", [1, 3])
async def test_a_settle_compares_no_version_where_fencing_is_left_out(store: str, jobs: int, tmp_path: Path) -> None:
    async with MAKERS[store](tmp_path) as backend:
        await backend.insert([Job(id=str(number), queue="q", task="t") for number in range(jobs)])
        claimed = await backend.claim(["q"], jobs, "w", 15, idle=False)
        of_others = [attrs.evolve(step(job, Complete(b"1"), claimed.now), version=9) for job in claimed.jobs]
        assert (await backend.settle(of_others)).verdicts == [Verdict.STALE] * jobs
        with unfenced():
            assert (await backend.settle(of_others)).verdicts == [Verdict.STORED] * jobs


def test_no_statement_of_a_settle_compares_versions_where_fencing_is_left_out() -> None:
    names = [name for name in queries.SQL if name.startswith("settle")]
    assert all("version = ?" in queries.settle(name, ("worker",)) for name in names)
    with unfenced():
        assert not any("version = ?" in queries.settle(name, ("worker",)) for name in names)
    assert all("version = ?" in queries.settle(name, ("worker",)) for name in names)
