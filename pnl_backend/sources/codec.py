"""A source's value to JSON and back, exactly, derived from its dataclass.

Decimals and dates are written as text, tuples and dataclasses as lists in the order of their fields; fields with a
default may be missing at the end. Decoding checks every type: bytes that are not of this source's value raise
`ValueError` instead of becoming a wrong number.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

import orjson

from pnl_backend.domain.readings import Fetched, SourceName

VERSION = 2
Value = TypeVar("Value")
Convert = Callable[[Any], Any]

_FIELDS_OF_VERSION_1: Mapping[SourceName, Sequence[int]] = {
    "kalshi": (0, 2, 1),
    "anthropic": (0, 1, 4, 2, 3),
    "johns": (0, 1, 2, 3),
}
"""Where version 1 wrote each field of the value; it had these three kinds."""


class Codec(Generic[Value]):
    """Writes and reads the values of one source type; TypeError where `model` holds what cannot be kept exactly."""

    def __init__(self, kind: SourceName, model: type[Value]) -> None:
        self._kind = kind
        self._model = model
        of: Any = model
        self._dump, self._load = _converters(of, model.__name__)
        self._shape = blake2b(_shape(model).encode(), digest_size=6).hexdigest()

    def encode(self, fetched: Fetched[Value]) -> bytes:
        """`{"v": 2, "kind", "shape", "as_of", "account", "value"}` as JSON; TypeError for another source's value."""
        if not isinstance(fetched.value, self._model):
            raise TypeError(f"{self._kind}: a {type(fetched.value).__name__} is not a {self._model.__name__}")
        return orjson.dumps(
            {
                "v": VERSION,
                "kind": self._kind,
                "shape": self._shape,
                "as_of": fetched.as_of,
                "account": fetched.account,
                "value": self._dump(fetched.value),
            },
            default=_decimal_text,
        )

    def decode(self, data: bytes) -> Fetched[Value]:
        """The inverse of `encode`, and what version 1 wrote; raises ValueError for anything else."""
        try:
            document = orjson.loads(data)
            if document["kind"] != self._kind:
                raise ValueError(f"it is a reading of {document['kind']!r}, not of {self._kind}")
            account = document.get("account")
            return Fetched(
                self._load(self._fields(document)),
                _whole(document["as_of"]),
                None if account is None else _text(account),
            )
        except (KeyError, TypeError, IndexError, InvalidOperation, orjson.JSONDecodeError) as error:
            raise ValueError(f"not a reading: {error!r}") from error

    def _fields(self, document: Any) -> Any:
        version, value = document["v"], document["value"]
        if version == 1 and self._kind in _FIELDS_OF_VERSION_1:
            return [value[index] for index in _FIELDS_OF_VERSION_1[self._kind]]
        if version != VERSION:
            raise ValueError(f"reading of version {version!r}, expected {VERSION}")
        if document["shape"] != self._shape:
            raise ValueError("it was written when a value of this source had other fields")
        return value


@cache
def _converters(kind: Any, path: str) -> tuple[Convert, Convert]:
    """How values of a type are written and read."""
    if dataclasses.is_dataclass(kind):
        return _of_dataclass(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _same, _one_of(inner)
    if origin in (typing.Union, types.UnionType) and len(inner) == 2 and types.NoneType in inner:
        return _optional(*_converters(next(one for one in inner if one is not types.NoneType), path))
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return _tuple(*_converters(inner[0], path))
    if kind in _PLAIN:
        return _PLAIN[kind]
    name = getattr(kind, "__name__", str(kind))
    exact = (
        "use Decimal" if kind is float else "use Decimal, str, int, bool, date, X | None, tuple[X, ...] or a dataclass"
    )
    raise TypeError(f"{path}: {name} cannot be kept exactly, {exact}")


def _of_dataclass(model: Any) -> tuple[Convert, Convert]:
    hints = typing.get_type_hints(model)
    fields = dataclasses.fields(model)
    names = [field.name for field in fields]
    needed = sum(field.default is field.default_factory is dataclasses.MISSING for field in fields)
    parts = [(name, *_converters(hints[name], f"{model.__name__}.{name}")) for name in names]
    loads = [load for _, _, load in parts]

    def load(row: Any) -> Any:
        if not isinstance(row, list) or not needed <= len(row) <= len(loads):
            raise TypeError(f"a {model.__name__} has {len(loads)} fields")
        return model(*[read(part) for read, part in zip(loads, row, strict=False)])

    return _dump_of([(name, dump) for name, dump, _ in parts]), load


def _dump_of(fields: Sequence[tuple[str, Convert]]) -> Convert:
    """The fields' values in their order; JSON knows all but dataclasses as they are, which is most of the rows."""
    if len(fields) > 1 and all(dump is _same for _, dump in fields):
        return attrgetter(*(name for name, _ in fields))
    return lambda value: [dump(getattr(value, name)) for name, dump in fields]


def _optional(dump: Convert, load: Convert) -> tuple[Convert, Convert]:
    written = dump if dump is _same else lambda value: None if value is None else dump(value)
    return written, lambda value: None if value is None else load(value)


def _tuple(dump: Convert, load: Convert) -> tuple[Convert, Convert]:
    def read(rows: Any) -> tuple[Any, ...]:
        if not isinstance(rows, list):
            raise TypeError("a list is expected")
        return tuple(map(load, rows))

    return dump if dump is _same else lambda values: list(map(dump, values)), read


def _one_of(allowed: tuple[Any, ...]) -> Convert:
    def read(value: Any) -> Any:
        if value not in allowed:
            raise ValueError(f"not one of {allowed}: {value!r}")
        return value

    return read


def _same(value: Any) -> Any:
    return value


def _decimal_text(value: object) -> str:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} cannot be kept exactly")
    return str(value)


def _amount(text: object) -> Decimal:
    if not isinstance(text, str):
        raise TypeError(f"money must be a string, got {type(text).__name__}")
    amount = Decimal(text)
    if not amount.is_finite():
        raise ValueError(f"money must be finite, got {text}")
    return amount


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text is expected, got {type(value).__name__}")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a whole number is expected, got {type(value).__name__}")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"true or false is expected, got {type(value).__name__}")
    return value


def _day(value: object) -> date:
    return date.fromisoformat(_text(value))


_PLAIN: Mapping[Any, tuple[Convert, Convert]] = {
    Decimal: (_same, _amount),
    str: (_same, _text),
    int: (_same, _whole),
    bool: (_same, _truth),
    date: (_same, _day),
}


def _shape(model: Any) -> str:
    """The fields of a dataclass and of those within it, by name and type."""
    if not dataclasses.is_dataclass(model):
        return f"{model}({','.join(map(_shape, get_args(model)))})" if get_args(model) else str(model)
    hints = typing.get_type_hints(model)
    fields = (f"{field.name}:{_shape(hints[field.name])}" for field in dataclasses.fields(model))
    return f"{{{','.join(fields)}}}"
