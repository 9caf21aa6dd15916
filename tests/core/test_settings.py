"""Settings by example: the defaults, the environment, the refusals."""

from __future__ import annotations

import attrs
import pytest

from trioq._core.errors import TrioqError
from trioq._core.settings import Settings


def test_the_defaults_are_the_promised_ones() -> None:
    assert attrs.asdict(Settings()) == {
        "backend": "sqlite:trioq.db",
        "worker_concurrency": 10,
        "rate_limit": None,
        "rate_interval": 1.0,
        "lease": 15.0,
        "grace": 30.0,
        "max_retries": 3,
        "max_crashes": 3,
        "max_payload_bytes": 1024 * 1024,
        "keep_completed": 3600.0,
        "keep_completed_max": 100_000,
        "keep_dead": 7 * 24 * 3600.0,
        "keep_dead_max": 100_000,
        "sandbox_enabled": False,
        "sandbox_timeout": 30.0,
    }


def test_settings_are_validated_on_assignment() -> None:
    settings = Settings()
    settings.lease = 5
    with pytest.raises(ValueError, match=r"lease is a number, above 0, not 0"):
        settings.lease = 0
    with pytest.raises(ValueError, match="max_retries is a whole number, 0 or more, not -1"):
        settings.max_retries = -1
    assert settings.lease == 5


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("backend", "memory:", "memory:"),
        ("lease", "5", 5.0),
        ("grace", "0.5", 0.5),
        ("worker_concurrency", "50", 50),
        ("rate_limit", "100", 100),
        ("rate_limit", "", None),
        ("rate_limit", "None", None),
        ("sandbox_enabled", "TRUE", True),
        ("sandbox_enabled", "1", True),
        ("sandbox_enabled", "off", False),
    ],
)
def test_the_environment_sets_what_it_names(name: str, text: str, value: object) -> None:
    assert Settings.from_env({f"TRIOQ_{name.upper()}": text}) == Settings(**{name: value})


def test_an_empty_environment_is_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_the_environment_of_the_process_is_read_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIOQ_LEASE", "7")
    assert Settings.from_env().lease == 7


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("LEASE", "soon", "TRIOQ_LEASE='soon' in the environment: could not convert"),
        ("LEASE", "-1", "TRIOQ_LEASE='-1' in the environment: lease is a number, above 0, not -1.0"),
        ("MAX_RETRIES", "1.5", "TRIOQ_MAX_RETRIES='1.5' in the environment: invalid literal for int"),
        ("SANDBOX_ENABLED", "maybe", "TRIOQ_SANDBOX_ENABLED='maybe' in the environment: Cannot convert"),
        (
            "WORKER_CONCURRENCY",
            "0",
            "TRIOQ_WORKER_CONCURRENCY='0' in the environment: worker_concurrency is a whole number, 1 or more, not 0",
        ),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused(name: str, text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        Settings.from_env({f"TRIOQ_{name}": text})
    assert isinstance(refused.value, TrioqError)


def test_a_number_that_no_float_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="lease is a number, above 0"):
        Settings(lease=10**400)
