"""What the keys begin with.  The scripts add the rest: ``scripts/prelude.lua`` lists it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .._base import Hint
from .._hints import ALL_HINTS

#: A colon ends a queue's name in its keys, so the name can have none; the percent sign makes room for it.
_ESCAPES: Final = {"%": "%25", ":": "%3A"}

_CHANNELS: Final = {"hints": ALL_HINTS & ~Hint.FINISHED, "ends": Hint.FINISHED}


class Keys:
    """The names of one store's keys: several may share a server, each with a *prefix* of its own.

    The prefix stands in braces, so a cluster keeps the whole store on one of its servers.  A script can't use keys of
    two servers, and a change may span queues.  Give each queue a prefix of its own to spread them.
    """

    def __init__(self, prefix: str) -> None:
        if not prefix or not prefix.isascii() or not prefix.isprintable() or set("{}") & set(prefix):
            raise ValueError(f"a prefix is printable ASCII without braces, not {prefix!r}")
        self.shared = f"{{{prefix}}}:"  #: what all of them begin with

    def base(self, queue: str) -> str:
        """Return what the keys of a queue begin with."""
        for sign, escape in _ESCAPES.items():
            queue = queue.replace(sign, escape)
        return f"{self.shared}{queue}:"

    def bases(self, queues: Iterable[str]) -> list[bytes]:
        """Return the KEYS of a script about these queues."""
        return [self.base(queue).encode() for queue in queues]

    def channels(self, hints: Hint, queues: Iterable[str]) -> dict[str, tuple[Hint, str]]:
        """Return the channels of these hints about the queues: each with the hints that come there, and the queue.

        The hint that jobs have ended has a channel of its own: it is published all the time, and few watchers want it.
        """
        return {
            self.base(queue) + name: (published, queue)
            for queue in queues
            for name, published in _CHANNELS.items()
            if hints & published
        }


def queue_named(escaped: bytes) -> str:
    """Return the queue whose name stands so in its keys."""
    queue = escaped.decode()
    for sign, escape in reversed(_ESCAPES.items()):
        queue = queue.replace(escape, sign)
    return queue
