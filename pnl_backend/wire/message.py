"""What all messages have in common: typed models, the encoding of those sent, the decoding of those received.

A model is the only definition of its shape: the JSON, the descriptions and the client's types are derived from it.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pnl_backend.wire.refusals import BadRequest

__all__ = [
    "UNSET",
    "Always",
    "Count",
    "Day",
    "IsoTime",
    "Message",
    "Meta",
    "Millis",
    "Never",
    "UnsetType",
    "as_model",
    "converted",
    "decoded",
    "encode",
    "encode_kept",
    "merged",
    "raw",
]

IsoTime = Annotated[
    str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$", examples=["2026-02-25T22:24:00.000Z"])
]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-02-25"])]
Millis = Annotated[int, Meta(ge=0)]
"""ms since the epoch."""
Count = Annotated[int, Meta(ge=0)]
Always = Annotated[bool, Meta(extra_json_schema={"const": True})]
Never = Annotated[bool, Meta(extra_json_schema={"const": False})]


class Message(Struct, gc=False):
    """Base of all models. Fields that are UNSET are left out; readers must accept unknown fields."""


Model = TypeVar("Model", bound=Message)

_ENCODER = msgspec.json.Encoder()
_LONGEST_PROBLEM = 80
"""Characters: no more of what a client sent is repeated."""


def encode(value: object) -> bytes:
    """A model, a list of models or a description as JSON."""
    return _ENCODER.encode(value)


def encode_kept(value: object) -> bytes:
    """The same in memory of exactly its size, for what is stored: the encoder's buffer is half as large again."""
    return b"".join((_ENCODER.encode(value), b""))


def raw(json: bytes) -> Any:
    """JSON as the value of a model's field, so that what was encoded once is not encoded again."""
    return msgspec.Raw(json)


def merged(first: bytes, *more: bytes) -> bytes:
    """One JSON object with the fields of several; none may be empty, and no name may occur twice."""
    return b",".join([first[:-1], *(each[1:-1] for each in more)]) + b"}" if more else first


def as_model(message: Message, model: type[Model], **fields: object) -> Model:
    """A `model` with the fields that it shares with a message; those that the message lacks are given."""
    shared = [name for name in model.__struct_fields__ if name not in fields]
    return model(**{name: getattr(message, name) for name in shared}, **fields)


def decoded(data: str | bytes | bytearray, model: type[Model]) -> Model:
    """What a client sent as JSON; raises BadRequest that names the field and what it must be."""
    try:
        return msgspec.json.decode(data, type=model)
    except msgspec.ValidationError as error:
        raise BadRequest(_problem(error)) from None
    except RecursionError:
        raise BadRequest("nested too deeply") from None
    except (msgspec.DecodeError, UnicodeError):
        raise BadRequest("not JSON") from None


def converted(payload: object, model: type[Model]) -> Model:
    """What a client sent, decoded already; raises BadRequest that names the field and what it must be."""
    try:
        return msgspec.convert(payload, model)
    except msgspec.ValidationError as error:
        raise BadRequest(_problem(error)) from None


def _problem(error: msgspec.ValidationError) -> str:
    """`Expected `int` >= 0 - at `$.since.seq`` as `since.seq: expected int >= 0`."""
    what, _, path = str(error).replace("Object missing", "missing").partition(" - at `$")
    what = what[0].lower() + what[1:]
    field = path.rstrip("`").lstrip(".")
    return (f"{field}: {what}" if field else what).replace("`", "")[:_LONGEST_PROBLEM]
