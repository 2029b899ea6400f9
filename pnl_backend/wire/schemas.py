"""Models as the schemas of a description: one place for how they look and how they are referred to."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import cleandoc
from typing import Any

import msgspec

from pnl_backend.wire.message import Message

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"


def model_schemas(models: Iterable[type[Message]]) -> Json:
    """The schemas of the models and of all that they are made of, by name."""
    _, schemas = msgspec.json.schema_components(list(dict.fromkeys(models)), ref_template=_REF)
    return {name: _open(schema) for name, schema in schemas.items()}


def schema_ref(model: type[Message] | str) -> Json:
    return {"$ref": _REF.format(name=model if isinstance(model, str) else model.__name__)}


def _open(schema: Json) -> Json:
    """Fields may be added; a description is one paragraph."""
    described = {"description": " ".join(cleandoc(schema["description"]).split())} if "description" in schema else {}
    return {**_typed(schema), **described, "additionalProperties": True}


def _typed(schema: Any) -> Any:
    """Enumerations with the type of their values, which code generators ask for."""
    if isinstance(schema, list):
        return [_typed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    typed = {"type": "string"} if all(isinstance(choice, str) for choice in schema.get("enum", (None,))) else {}
    return {**typed, **{name: _typed(value) for name, value in schema.items()}}
