"""What the examples find where they run: a database, where one wants it."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.postgres_server import shared


@pytest.fixture(autouse=True)
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty database ``shop`` for an example that names it; these variables tell libpq where its server is."""
    if "transcript" not in request.fixturenames:
        return
    transcript: Path = request.getfixturevalue("transcript")
    if "postgresql:///shop" in transcript.read_text(encoding="utf-8"):
        shared().sql("DROP DATABASE IF EXISTS shop")
        shared().sql("CREATE DATABASE shop")
        for name in ("host", "port", "user"):
            monkeypatch.setenv(f"PG{name.upper()}", str(conninfo_to_dict(shared().url)[name]))
