"""The settings of this process: ``TRIOQ_*`` from its environment, then whatever the application assigns."""

from __future__ import annotations

from typing import Final

from ._core.settings import Settings

settings: Final = Settings.from_env()
