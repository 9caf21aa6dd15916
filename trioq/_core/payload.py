"""The one codec of arguments and results: JSON bytes that come back as what went in, or are refused.

Nothing here imports what a payload names.  Annotated values are decoded to their annotations; what has no
annotation must come back from JSON as the same value and type.
"""

from __future__ import annotations

import inspect
import typing
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, Final

import attrs
import msgspec
from msgspec.structs import astuple

from .errors import NotSerializable, PayloadTooLarge
from .roundtrip import SCALARS, UNBUILDABLE, is_open, lacks_numbers, same

NO_ARGUMENTS: Final = b"[[],{}]"
#: Call shapes that are cached, at most.
_SHAPES: Final = 100
_NONE_BY_NAME: Final = b"],{}]"  #: the last bytes of a call with positional arguments only

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

_Parameter: Final = inspect.Parameter
_EMPTY: Final = inspect.Parameter.empty


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


@attrs.frozen
class Codec:
    """One value to bytes and back, by its annotation."""

    annotation: Any = _EMPTY
    #: Whether the annotation leaves anything inside untyped: such values are held to the rule for unannotated ones.
    untyped: bool = attrs.field(init=False)

    @untyped.default
    def _find_out(self) -> bool:
        return self.annotation is _EMPTY or is_open(self.annotation)

    def check(self, value: object, plain: object, what: str) -> None:
        """Refuse a *value* that its decoded JSON, *plain*, does not give back."""
        if type(value) is type(plain) is self.annotation and type(value) in SCALARS and value == plain:
            return
        try:
            back = self.convert(plain)
            kept = same(value, back) if self.untyped else not lacks_numbers(value, back)
        except (ValueError, RecursionError) as error:
            raise NotSerializable(what, str(error)) from error
        if not kept:
            raise NotSerializable(what, f"JSON would turn {value!r:.200} into {back!r:.200}")

    def convert(self, plain: object) -> Any:
        """*plain* as its annotation wants it; ValueError where it doesn't fit."""
        if self.annotation is _EMPTY or type(plain) is self.annotation:
            return plain
        try:
            return msgspec.convert(plain, self.annotation, str_keys=True)
        except (msgspec.ValidationError, RecursionError) as error:
            raise ValueError(str(error)) from error

    def encode_result(self, value: object, limit: int) -> bytes:
        """The bytes of a handler's result; NotSerializable or PayloadTooLarge."""
        if value is None:
            return b"null"
        data = _within(encode(value, "the result"), limit, "the result")
        self.check(value, _decode(data), "the result")
        return data

    def decode_result(self, data: bytes | None) -> Any:
        """The result that `encode_result` wrote."""
        return None if data is None else self.convert(_decode(data))


#: For values whose annotation isn't known here.
UNTYPED: Final = Codec()


@attrs.frozen
class Signature:
    """The arguments of one task: bound and checked where they are enqueued, converted where they run."""

    bound: inspect.Signature
    #: Each with its name in an error.
    positional: Sequence[tuple[str, Codec]]
    more: tuple[str, Codec]  #: for values in ``*args``
    named: Mapping[str, Codec]
    others: Codec  #: for values in ``**kwargs``
    result: Codec
    #: Decodes a call with positional arguments only: at once, and in a fifth of the time.
    by_position: msgspec.json.Decoder[tuple[msgspec.Struct, dict[str, Any]]] = attrs.field(eq=False)
    #: The shapes of calls that fitted: the number of positional arguments, and the names of the others.
    fitted: set[tuple[object, ...]] = attrs.field(factory=set, init=False, eq=False)

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
        positional = kinds[_Parameter.POSITIONAL_ONLY] + kinds[_Parameter.POSITIONAL_OR_KEYWORD]
        return cls(
            bound=bound,
            positional=[(_told(name), every[name]) for name in positional],
            more=(_told("*args"), next((every[name] for name in kinds[_Parameter.VAR_POSITIONAL]), UNTYPED)),
            named={n: every[n] for n in kinds[_Parameter.POSITIONAL_OR_KEYWORD] + kinds[_Parameter.KEYWORD_ONLY]},
            others=next((every[name] for name in kinds[_Parameter.VAR_KEYWORD]), UNTYPED),
            result=every["return"],
            by_position=_positional_decoder([every[name].annotation for name in positional]),
        )

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any], limit: int) -> bytes:
        """The bytes of a call.  TypeError for arguments that do not fit the signature or JSON."""
        self._bind(args, kwargs)
        if not args and not kwargs:
            return NO_ARGUMENTS
        data = _encode_call(args, kwargs, limit)
        plain_args, plain_kwargs = _decode(data)
        for (told, codec), value, plain in zip(self._positions(), args, plain_args, strict=False):
            codec.check(value, plain, told)
        for name, value in kwargs.items():
            self.named.get(name, self.others).check(value, plain_kwargs[name], _told(name))
        return data

    def decode(self, payload: bytes) -> tuple[list[Any], dict[str, Any]]:
        """Arguments for the handler; ValueError when the payload is broken or does not fit."""
        if payload.endswith(_NONE_BY_NAME):
            try:
                call, none_by_name = self.by_position.decode(payload)
                args = list(astuple(call))
                while args and args[-1] is msgspec.UNSET:
                    args.pop()
                self._bind(args, none_by_name)
                return args, none_by_name
            except Exception:  # noqa: S110  the code below says what is wrong, if anything
                pass
        args, kwargs = read(payload)
        try:
            self._bind(args, kwargs)
        except TypeError as error:
            raise ValueError(f"the arguments do not fit the task: {error}") from error
        return (
            [codec.convert(value) for (_, codec), value in zip(self._positions(), args, strict=False)],
            {name: self.named.get(name, self.others).convert(value) for name, value in kwargs.items()},
        )

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """TypeError for arguments that do not fit.  Only their shape counts, and is cached: binding is slow."""
        shape = len(args), *kwargs
        if shape not in self.fitted:
            self.bound.bind(*args, **kwargs)
            if len(self.fitted) < _SHAPES and kwargs.keys() <= self.named.keys():  # other names are data
                self.fitted.add(shape)

    def _positions(self) -> Iterator[tuple[str, Codec]]:
        return chain(self.positional, repeat(self.more))


def _positional_decoder(
    annotations: Sequence[Any],
) -> msgspec.json.Decoder[tuple[msgspec.Struct, dict[str, Any]]]:
    types = [Any if annotation is _EMPTY else annotation for annotation in annotations]
    # Any of the last may be missing; binding refuses those that may not.
    fields = [(f"_{number}", kind, msgspec.UNSET) for number, kind in enumerate(types)]
    call = msgspec.defstruct("Call", fields, array_like=True, forbid_unknown_fields=True)
    return msgspec.json.Decoder(tuple[call, dict[str, Any]])  # type: ignore[valid-type]


def _told(name: str) -> str:
    return f"argument {name!r}"


def encode_untyped(args: Sequence[Any], kwargs: Mapping[str, Any], limit: int) -> bytes:
    """The bytes of a call whose task isn't known here: every argument must survive JSON unchanged."""
    call = [list(args), dict(kwargs)]
    data = _encode_call(args, kwargs, limit)
    UNTYPED.check(call, _decode(data), "the arguments")
    return data


def copy_untyped(value: Any, limit: int, what: str) -> Any:
    """A plain copy of a stored value that is no argument, such as metadata; it must survive JSON unchanged, too."""
    data = _within(encode(value, what), limit, what)
    copy = _decode(data)
    UNTYPED.check(value, copy, what)
    return copy


def _encode_call(args: Sequence[Any], kwargs: Mapping[str, Any], limit: int) -> bytes:
    return _within(encode((args, kwargs), "the arguments"), limit, "the arguments")


def _within(data: bytes, limit: int, what: str) -> bytes:
    if len(data) > limit:
        raise PayloadTooLarge(what, len(data), limit)
    return data


def _supported(annotation: Any) -> Any:
    """The annotation, or none where msgspec can't build it: then the strict rule applies."""
    if annotation is _EMPTY:
        return annotation
    try:
        msgspec.json.Decoder(annotation)
    except UNBUILDABLE:
        return _EMPTY
    return annotation
