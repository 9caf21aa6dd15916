"""``trioq migrate``: the tables are there when it has ended, also where another process makes them at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres_server import shared
from trioq.backends.postgres.schema import LAYOUT


def _layout(schema: str) -> int:
    [(number,)] = shared().sql(f"SELECT max(number) FROM {schema}.trioq_migrations")
    return number


def test_migrate_makes_the_tables(run):
    done = run("-m", "trioq", "migrate", shared().url, "--schema", "made")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("is up to date\n")
    assert _layout("made") == LAYOUT


@pytest.mark.slow
def test_migrate_takes_the_schema_trioq_where_none_is_named_and_can_be_repeated(run):
    for _ in range(2):
        done = run("-m", "trioq", "migrate", shared().url)
        assert (done.returncode, done.stderr) == (0, "")
    assert _layout("trioq") == LAYOUT


@pytest.mark.slow
def test_several_may_migrate_at_once(start):
    processes = [start("-m", "trioq", "migrate", shared().url, "--schema", "contended") for _ in range(3)]
    outs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outs
    assert shared().sql("SELECT count(*) FROM contended.trioq_migrations") == [(LAYOUT,)]


@pytest.mark.slow
def test_a_worker_on_a_store_without_tables_says_what_to_type(run, tmp_path: Path):
    url = shared().url
    source = f"import trioq\nqueue = trioq.Queue('q', backend=trioq.PostgresBackend({url!r}, schema='missing'))\n"
    (tmp_path / "app.py").write_text(source)
    done = run("-m", "trioq", "worker", "app:queue")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"Create it with: trioq migrate {url} --schema missing\n")


@pytest.mark.slow
def test_migrating_a_store_that_needs_none_opens_it(run, tmp_path: Path):
    done = run("-m", "trioq", "migrate", "sqlite:jobs.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "jobs.db").exists()
