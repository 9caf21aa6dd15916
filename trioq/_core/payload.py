"""The one codec of arguments and results: JSON bytes that come back as what went in, or are refused.

Nothing here imports what a payload names.  Annotated values are decoded to their annotations; what has no
annotation must come back from JSON as the same value and type.
"""

from __future__ import annotations

import inspect
import typing
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

import attrs
import msgspec

from .errors import NotSerializable, PayloadTooLarge

NO_ARGUMENTS: Final = b"[[],{}]"

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

_Parameter: Final = inspect.Parameter
_EMPTY: Final = inspect.Parameter.empty

#: Annotations that say nothing of what is inside: such values are held to the rule for unannotated ones.
_OPEN: Final = (Any, object, _EMPTY, list, dict, tuple, set, frozenset)


def encode(value: object, what: str) -> bytes:
    """JSON bytes of *value*, or NotSerializable naming *what* it was."""
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotSerializable(what, str(error)) from error


def read(payload: bytes) -> tuple[list[Any], dict[str, Any]]:
    """Arguments as plain JSON values; ValueError when these bytes are no arguments."""
    if payload == NO_ARGUMENTS:
        return [], {}
    try:
        args, kwargs = _decode(payload)
    except (msgspec.DecodeError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"these are not a job's arguments: {error}") from error
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise ValueError("these are not a job's arguments: expected [[positional], {keyword}]")
    return args, kwargs


def same(left: Any, right: Any) -> bool:
    """Equal in value and in type, all the way down: what JSON did not change."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, dict)):
        if len(left) != len(right) or not all(map(same, left, right)):
            return False
        return isinstance(left, list) or all(map(same, left.values(), right.values()))
    return bool(left == right)


@attrs.frozen
class Codec:
    """One value to bytes and back, by its annotation."""

    annotation: Any = _EMPTY

    @property
    def open(self) -> bool:
        """Whether the annotation leaves anything inside untyped."""
        return _is_open(self.annotation)

    def check(self, value: object, plain: object, what: str) -> None:
        """Refuse a *value* that its decoded JSON, *plain*, does not give back."""
        try:
            back = self.convert(plain)
            if self.open:
                kept = same(value, back)
            else:
                kept = isinstance(plain, (str, int)) or _finite(msgspec.to_builtins(value))
        except (ValueError, RecursionError) as error:
            raise NotSerializable(what, str(error)) from error
        if not kept:
            raise NotSerializable(what, f"JSON would turn {value!r:.200} into {back!r:.200}")

    def convert(self, plain: object) -> Any:
        """*plain* as its annotation wants it; ValueError where it doesn't fit."""
        if self.annotation is _EMPTY:
            return plain
        try:
            return msgspec.convert(plain, self.annotation, str_keys=True)
        except (msgspec.ValidationError, RecursionError) as error:
            raise ValueError(str(error)) from error

    def encode_result(self, value: object, limit: int) -> bytes:
        """The bytes of a handler's result; NotSerializable or PayloadTooLarge."""
        if value is None:
            return b"null"
        data = encode(value, "the result")
        if len(data) > limit:
            raise PayloadTooLarge("the result", len(data), limit)
        self.check(value, _decode(data), "the result")
        return data

    def decode_result(self, data: bytes | None) -> Any:
        """The result that `encode_result` wrote."""
        return None if data is None else self.convert(_decode(data))


def _finite(value: object) -> bool:
    """Whether JSON has every number in *value*: msgspec writes NaN as null, which an optional float would take."""
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value)) and all(map(_finite, value.values()))
    return not isinstance(value, (list, tuple, set, frozenset)) or all(map(_finite, value))


def _is_open(annotation: Any) -> bool:
    if annotation in _OPEN:
        return True
    return any(_is_open(part) for part in typing.get_args(annotation) if part is not Ellipsis)


#: For values whose annotation isn't known here.
UNTYPED: Final = Codec()


@attrs.frozen
class Signature:
    """The arguments of one task: bound and checked where they are enqueued, converted where they run."""

    bound: inspect.Signature
    positional: Sequence[tuple[str, Codec]]
    #: For what lands in ``*args`` and ``**kwargs``.
    more: Codec
    named: Mapping[str, Codec]
    others: Codec
    result: Codec

    @classmethod
    def of(cls, fn: Callable[..., object]) -> Signature:
        """Read the signature of *fn* once; annotations that can't be resolved or built count as none."""
        try:
            hints = typing.get_type_hints(fn)
        except (NameError, TypeError, AttributeError):
            hints = {}
        bound = inspect.signature(fn)
        every = {name: Codec(_supported(hints.get(name, _EMPTY))) for name in [*bound.parameters, "return"]}
        kinds: dict[object, list[str]] = defaultdict(list)
        for parameter in bound.parameters.values():
            kinds[parameter.kind].append(parameter.name)
        return cls(
            bound=bound,
            positional=[
                (n, every[n]) for n in kinds[_Parameter.POSITIONAL_ONLY] + kinds[_Parameter.POSITIONAL_OR_KEYWORD]
            ],
            more=next((every[name] for name in kinds[_Parameter.VAR_POSITIONAL]), UNTYPED),
            named={n: every[n] for n in kinds[_Parameter.POSITIONAL_OR_KEYWORD] + kinds[_Parameter.KEYWORD_ONLY]},
            others=next((every[name] for name in kinds[_Parameter.VAR_KEYWORD]), UNTYPED),
            result=every["return"],
        )

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any], limit: int) -> bytes:
        """The bytes of a call.  TypeError for arguments that do not fit the signature or JSON."""
        self.bound.bind(*args, **kwargs)
        if not args and not kwargs:
            return NO_ARGUMENTS
        data = _encode_call(args, kwargs, limit)
        plain_args, plain_kwargs = _decode(data)
        for index, value in enumerate(args):
            name, codec = self._at(index)
            codec.check(value, plain_args[index], f"argument {name!r}")
        for name, value in kwargs.items():
            self.named.get(name, self.others).check(value, plain_kwargs[name], f"argument {name!r}")
        return data

    def decode(self, payload: bytes) -> tuple[list[Any], dict[str, Any]]:
        """Arguments for the handler; ValueError when the payload is broken or does not fit."""
        if payload == NO_ARGUMENTS and not self.bound.parameters:
            return [], {}
        args, kwargs = read(payload)
        try:
            self.bound.bind(*args, **kwargs)
        except TypeError as error:
            raise ValueError(f"the arguments do not fit the task: {error}") from error
        return (
            [self._at(index)[1].convert(value) for index, value in enumerate(args)],
            {name: self.named.get(name, self.others).convert(value) for name, value in kwargs.items()},
        )

    def _at(self, index: int) -> tuple[str, Codec]:
        return self.positional[index] if index < len(self.positional) else ("*args", self.more)


def encode_untyped(args: Sequence[Any], kwargs: Mapping[str, Any], limit: int) -> bytes:
    """The bytes of a call whose task isn't known here: every argument must survive JSON unchanged."""
    call = [list(args), dict(kwargs)]
    data = _encode_call(args, kwargs, limit)
    UNTYPED.check(call, _decode(data), "the arguments")
    return data


def _encode_call(args: Sequence[Any], kwargs: Mapping[str, Any], limit: int) -> bytes:
    data = encode((args, kwargs), "the arguments")
    if len(data) > limit:
        raise PayloadTooLarge("the arguments", len(data), limit)
    return data


def _supported(annotation: Any) -> Any:
    """The annotation, or none where msgspec has no way to build it: then the strict rule applies."""
    if annotation is _EMPTY:
        return annotation
    try:
        msgspec.json.Decoder(annotation)
    except (TypeError, NotImplementedError):
        return _EMPTY
    return annotation
