"""The settings, with their defaults and limits.  A value is validated when it is assigned."""

from __future__ import annotations

import os
from collections.abc import Mapping
from sys import float_info
from typing import Any, Final, Self

import attrs
from attrs import converters

from .errors import TrioqError

_PREFIX: Final = "TRIOQ_"


class BadVariable(TrioqError, ValueError):
    """A variable of the environment that can't be a setting."""

    def __init__(self, name: str, text: str, why: str) -> None:
        self.name, self.text, self.why = name, text, why
        super().__init__(f"{name}={text!r} in the environment: {why}")


def _number(least: float, *, above: bool = False) -> Any:
    def check(_: object, field: attrs.Attribute[Any], value: Any) -> None:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= float_info.max
        if not good or not (value > least if above else value >= least):
            bound = f"above {least}" if above else f"{least} or more"
            raise ValueError(f"{field.name} is a number, {bound}, not {value!r}")

    return check


def _count(least: int) -> Any:
    def check(_: object, field: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{field.name} is a whole number, {least} or more, not {value!r}")

    return check


@attrs.define(kw_only=True)
class Settings:
    """Read when a Queue is made or a Worker starts: a change counts for those that come after it.

    ``trioq.settings`` is the process's own; a Queue and a Worker also take ``settings=``.  Durations are seconds.
    """

    backend: str = attrs.field(default="sqlite:trioq.db", validator=attrs.validators.instance_of(str))
    worker_concurrency: int = attrs.field(default=10, validator=_count(1))
    rate_limit: int | None = attrs.field(default=None, validator=attrs.validators.optional(_count(1)))
    rate_interval: float = attrs.field(default=1.0, validator=_number(0, above=True))
    #: How long a claim is valid without a renewal: after a crash, about how long until another worker starts the job.
    lease: float = attrs.field(default=15.0, validator=_number(0, above=True))
    #: How long running jobs may go on after ``stop()`` or the first signal.
    grace: float = attrs.field(default=30.0, validator=_number(0))
    max_retries: int = attrs.field(default=3, validator=_count(0))
    max_crashes: int = attrs.field(default=3, validator=_count(1))
    #: For arguments and for results, each.
    max_payload_bytes: int = attrs.field(default=2**20, validator=_count(2))
    #: How long completed and cancelled jobs are kept, and how many of them in each queue.
    keep_completed: float = attrs.field(default=3600.0, validator=_number(0))
    keep_completed_max: int = attrs.field(default=100_000, validator=_count(0))
    #: The same for dead letters: failed and expired jobs.
    keep_dead: float = attrs.field(default=7 * 86400.0, validator=_number(0))
    keep_dead_max: int = attrs.field(default=100_000, validator=_count(0))
    #: The default of a task's ``sandbox=``.
    sandbox_enabled: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    #: The timeout of a sandboxed task that has none of its own.
    sandbox_timeout: float = attrs.field(default=30.0, validator=_number(0, above=True))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Settings from ``TRIOQ_LEASE``, ``TRIOQ_BACKEND`` and so on; what isn't there keeps its default.

        A text that can't be the setting raises an error that names its variable: a TrioqError and a ValueError.
        """
        environ = os.environ if environ is None else environ
        settings = cls()
        for field in attrs.fields(cls):
            name = _PREFIX + field.name.upper()
            if name in environ:
                try:
                    setattr(settings, field.name, _parse(field.type, environ[name]))
                except ValueError as error:
                    raise BadVariable(name, environ[name], str(error)) from error
        return settings


def _parse(kind: Any, text: str) -> Any:
    """The value that *text* spells; the annotations above are strings to attrs, and few."""
    if kind == "str":
        return text
    if kind == "bool":
        return converters.to_bool(text.lower())
    if kind == "float":
        return float(text)
    return None if kind == "int | None" and text.lower() in ("", "none") else int(text)
