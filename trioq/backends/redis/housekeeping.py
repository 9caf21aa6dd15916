"""Pause, resume, remove and prune: what each asks of its script, and what the answer means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._base import Hint, Retention
from .reads import ALL_QUEUES
from .rows import integer, seconds
from .scripts import SCRIPTS
from .writes import Ask, read_hints


def pause(queue: str, paused: bool) -> Ask:
    """Ask to pause or resume a queue."""
    return Ask(SCRIPTS["pause"], [queue], [integer(paused)])


def has_paused(ask: Ask, reply: Sequence[Any]) -> tuple[float, dict[str, Hint]]:
    """Read the store's now, and the hints."""
    return float(reply[0]), read_hints(ask.queues, reply[1])


def remove(queue: str, ids: Sequence[str]) -> Ask:
    """Ask to drop records that no worker holds."""
    return Ask(SCRIPTS["remove"], [queue], [[id.encode() for id in ids]])


def prune(queues: Sequence[str], limits: Retention, batch: int) -> Ask:
    """Ask to drop what is past retention."""
    return Ask(
        SCRIPTS["prune"],
        list(dict.fromkeys(queues)) or ALL_QUEUES,
        [
            batch,
            seconds(limits.keep_completed),
            limits.keep_completed_max,
            seconds(limits.keep_dead),
            limits.keep_dead_max,
        ],
    )
