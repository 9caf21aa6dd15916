"""An application that has its own idea of how logs look."""

from __future__ import annotations

import logging

from greetings import queue

logging.basicConfig(level=logging.INFO, format="OWN %(message)s")

__all__ = ["queue"]
