"""Settings hold only what makes sense, however they are set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioq._core.settings import Settings

positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
not_negative = st.floats(min_value=0, allow_infinity=False)

#: For each setting, what it may be.
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "backend": st.sampled_from(["memory:", "sqlite:jobs.db", "redis://localhost"]),
    "worker_concurrency": st.integers(1),
    "rate_limit": st.none() | st.integers(1),
    "rate_interval": positive,
    "lease": positive,
    "grace": not_negative,
    "max_retries": st.integers(0),
    "max_crashes": st.integers(1),
    "max_payload_bytes": st.integers(2),
    "keep_completed": not_negative,
    "keep_completed_max": st.integers(0),
    "keep_dead": not_negative,
    "keep_dead_max": st.integers(0),
    "sandbox_enabled": st.booleans(),
    "sandbox_timeout": positive,
}

_never = ["3", (), float("nan"), float("inf"), -1, -0.5]
#: For each setting, what it may not be.
BAD: dict[str, list[Any]] = {
    "backend": [None, 1],
    "worker_concurrency": [*_never, None, 0, 1.0, True],
    "rate_limit": [*_never, 0, 1.0, True],
    "rate_interval": [*_never, None, 0, True],
    "lease": [*_never, None, 0, True],
    "grace": [*_never, None, True],
    "max_retries": [*_never, None, 1.0, True],
    "max_crashes": [*_never, None, 0, 1.0, True],
    "max_payload_bytes": [*_never, None, 1, 2.0, True],
    "keep_completed": [*_never, None, True],
    "keep_completed_max": [*_never, None, 1.0, True],
    "keep_dead": [*_never, None, True],
    "keep_dead_max": [*_never, None, 1.0, True],
    "sandbox_enabled": [None, 0, 1, "yes"],
    "sandbox_timeout": [*_never, None, 0, True],
}

good_settings = st.fixed_dictionaries({}, optional=GOOD)
MISTAKES = [(name, value) for name, values in BAD.items() for value in values]


def test_every_setting_is_tried_here() -> None:
    """Every setting has values that it takes and values that it refuses.

    One that is added needs both, above.
    """
    assert [field.name for field in attrs.fields(Settings)] == list(GOOD) == list(BAD)


@given(values=good_settings)
def test_what_makes_sense_is_taken(values: dict[str, Any]) -> None:
    """A setting that makes sense is kept as it was given, in the constructor and on assignment; the others have their
    defaults.
    """
    made, assigned = Settings(**values), Settings()
    for name, value in values.items():
        setattr(assigned, name, value)
    assert made == assigned
    assert all(getattr(made, name) == values.get(name, getattr(Settings(), name)) for name in GOOD)


def test_what_makes_none_is_refused_when_it_is_assigned() -> None:
    """A setting that makes no sense raises an error that names it, in the constructor and on assignment, and changes
    nothing.
    """
    settings = Settings()
    made = {f"{name}={value!r}": (name, partial(Settings, **{name: value})) for name, value in MISTAKES}
    assigned = {f".{name} = {value!r}": (name, partial(setattr, settings, name, value)) for name, value in MISTAKES}
    assert {how for how, (name, make) in (made | assigned).items() if not is_refused(make, name)} == set()
    assert settings == Settings()


def is_refused(make: Callable[[], object], name: str) -> bool:
    """Whether it raises an error that names the setting."""
    try:
        make()
    except (ValueError, TypeError) as error:
        return name in str(error)
    return False


@given(values=good_settings, others=st.dictionaries(st.sampled_from(["PATH", "TRIOQ_NO_SUCH", "LEASE"]), st.text()))
def test_the_environment_spells_settings(values: dict[str, Any], others: dict[str, str]) -> None:
    """A variable ``TRIOQ_<NAME>`` sets the setting of that name, a value reads back from its spelling, and other
    variables do not matter.
    """
    environ = {f"TRIOQ_{name.upper()}": str(value) for name, value in values.items()}
    assert Settings.from_env({**others, **environ}) == Settings(**values)


@given(
    name=st.sampled_from([name for name in GOOD if name not in ("backend", "rate_limit")]),
    text=st.sampled_from(["", "many", "1,5", "-1", "nan", "0x10", "--"]),
)
def test_a_misspelt_variable_is_a_value_error_that_names_it(name: str, text: str) -> None:
    """A variable that cannot be read, or makes no sense, raises a ``ValueError`` that names the setting: no default
    takes its place.
    """
    with pytest.raises(ValueError, match=f"(?i){name}"):
        Settings.from_env({f"TRIOQ_{name.upper()}": text})
