"""The messages between a worker and the process of a handler: one request, one reply.  Bytes only, no I/O.

A message is the sizes of its two parts, a JSON head, and an opaque body.  No pickle: what a
handler's process sends can't run anything in the worker.
"""

from __future__ import annotations

import struct
from typing import Final, Self

import attrs
import msgspec

from .._core.outcome import (
    MAX_ERROR_BYTES,
    BadPayload,
    Outcome,
    Raised,
    Rejected,
    RetryAsked,
    Returned,
    Snoozed,
)
from ._target import Target

_SIZES: Final = struct.Struct(">IQ")

#: Every message starts with so many bytes.
PREFIX: Final = _SIZES.size

_MAX_HEAD: Final = 64 * 1024


@attrs.frozen
class _Call:
    target: Target
    limit: int


@attrs.frozen
class _End:
    how: str
    seconds: float | None
    clean: bool


@attrs.frozen
class Request:
    """Run this function with these arguments."""

    target: Target
    payload: bytes
    #: The most bytes that its result may take.
    limit: int

    def encode(self) -> bytes:
        """The bytes of the whole message."""
        return _pack(_Call(self.target, self.limit), self.payload)

    @classmethod
    def decode(cls, head: bytes, body: bytes) -> Self:
        """What `encode` wrote."""
        call = msgspec.json.decode(head, type=_Call)
        return cls(call.target, body, call.limit)


@attrs.frozen
class Reply:
    """How the handler ended."""

    outcome: Outcome
    #: The handler left no process and no thread behind: this process can run another one.
    clean: bool

    def encode(self) -> bytes:
        """The bytes of the whole message."""
        seconds: float | None = None
        match self.outcome:
            case Returned(result):
                how, body = "returned", result
            case Raised(error):
                how, body = "raised", error.encode()
            case RetryAsked(error, seconds):
                how, body = "retry", error.encode()
            case Snoozed(seconds):
                how, body = "snooze", b""
            case Rejected(error):
                how, body = "reject", error.encode()
            case BadPayload(error):
                how, body = "bad payload", error.encode()
            case other:
                raise TypeError(f"no handler ends as {other}")
        return _pack(_End(how, seconds, self.clean), body)

    @classmethod
    def decode(cls, head: bytes, body: bytes) -> Self:
        """What `encode` wrote; ValueError for anything else."""
        try:
            end = msgspec.json.decode(head, type=_End)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error
        return cls(_outcome(end.how, end.seconds, body), end.clean)


def _outcome(how: str, seconds: float | None, body: bytes) -> Outcome:
    match how, seconds:
        case "returned", _:
            return Returned(body)
        case "raised", _:
            return Raised(body.decode())
        case "retry", _:
            return RetryAsked(body.decode(), seconds)
        case "snooze", float():
            return Snoozed(seconds)
        case "reject", _:
            return Rejected(body.decode())
        case "bad payload", _:
            return BadPayload(body.decode())
        case _:
            raise ValueError(f"no handler ends as {how!r}")


def _pack(head: object, body: bytes) -> bytes:
    data = msgspec.json.encode(head)
    return _SIZES.pack(len(data), len(body)) + data + body


def sizes(prefix: bytes) -> tuple[int, int]:
    """The sizes of the head and of the body, from the first bytes of a message."""
    head, body = _SIZES.unpack(prefix)
    return head, body


def reply_sizes(prefix: bytes, limit: int) -> tuple[int, int]:
    """The same; ValueError for sizes that no reply with a result of at most *limit* bytes can have."""
    head, body = sizes(prefix)
    if head > _MAX_HEAD or body > max(limit, MAX_ERROR_BYTES):
        raise ValueError(f"no reply has {head} and {body} bytes")
    return head, body
