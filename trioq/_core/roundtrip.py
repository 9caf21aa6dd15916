"""Whether JSON changed a value, and which annotations leave that open.

Nothing here encodes or refuses; ``payload`` does.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import attrs
import msgspec
import msgspec.inspect
from msgspec.inspect import AnyType, CustomType, Field, Type

#: What msgspec raises for a type that it can't build, or whose own annotations it can't resolve.
UNBUILDABLE: Final = (TypeError, NotImplementedError, NameError, AttributeError)

#: A float holds every integer up to here.
_EXACT: Final = 2**53

#: The types of most compared values: they hold no other values.
SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def same(left: Any, right: Any) -> bool:
    """Whether both are equal in value and in type, at every depth: then JSON changed nothing."""
    if type(left) is not type(right):
        return False
    if type(left) in SCALARS:
        return bool(left == right)
    if isinstance(left, (list, tuple, dict)):
        if len(left) != len(right) or not all(map(same, left, right)):
            return False
        return not isinstance(left, dict) or all(map(same, left.values(), right.values()))
    if isinstance(left, (set, frozenset)):
        return {(type(each), each) for each in left} == {(type(each), each) for each in right}
    if names := _field_names(type(left)):
        return all(_same_field(getattr(left, name), getattr(right, name)) for name in names)
    return bool(left == right)


def _same_field(left: Any, right: Any) -> bool:
    # JSON tells 1 from 1.0, so it was the field's own annotation that asked for the float.
    return same(left, right) or (type(left) is int and type(right) is float and left == right)


def _field_names(kind: type) -> Sequence[str]:
    """The fields of a Struct, dataclass or attrs class: what msgspec writes one by one."""
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    if attrs.has(kind):
        return [field.name for field in attrs.fields(kind)]
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else ()


def lacks_numbers(value: object, back: object) -> bool:
    """Whether a number in *value* is not in *back*: null took the place of a NaN, or a float that of a long integer."""
    risky = _risky(msgspec.to_builtins(value))
    return bool(risky) and bool(Counter(risky) - Counter(_risky(msgspec.to_builtins(back))))


def _risky(plain: Any) -> list[float]:
    """The numbers in *plain* that JSON, or a float, may not hold: NaN, the infinities, integers past 2**53."""
    if isinstance(plain, (int, float)):
        return [] if -_EXACT <= plain <= _EXACT else [plain]
    if isinstance(plain, dict):
        return _risky([*plain, *plain.values()])
    if isinstance(plain, (list, tuple, set, frozenset)):
        return [number for each in plain if type(each) is not str for number in _risky(each)]
    return []


def is_open(annotation: Any) -> bool:
    """Whether any part of this type may be any value; a type that msgspec can't inspect counts as such."""
    try:
        pending: list[Any] = [msgspec.inspect.type_info(annotation)]
    except UNBUILDABLE:
        return True
    seen: set[int] = set()  # a type can hold itself
    while pending:
        part = pending.pop()
        if isinstance(part, (AnyType, CustomType)):
            return True
        if isinstance(part, (Type, Field)) and id(part) not in seen:
            seen.add(id(part))
            for name in part.__struct_fields__:
                inner = getattr(part, name)
                pending += inner if isinstance(inner, tuple) else [inner]
    return False
