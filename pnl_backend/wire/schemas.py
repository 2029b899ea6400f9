"""Models as the schemas of a description: one place for how they look and how they are referred to."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import cleandoc
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"


class _Plain(GenerateJsonSchema):
    """Titles that only repeat a field's name are left out."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def model_schemas(models: Iterable[type[Any]]) -> Json:
    """The schemas of the models and of all that they are made of, by name."""
    older: dict[type[BaseModel], None] = {}

    def refer(model: type[Any]) -> Json:
        older[model] = None
        return schema_ref(model)

    listed = list(dict.fromkeys(models))
    structs = [model for model in listed if not issubclass(model, BaseModel)]
    _, schemas = msgspec.json.schema_components(structs, schema_hook=refer, ref_template=_REF)
    older |= dict.fromkeys(model for model in listed if issubclass(model, BaseModel))
    _, document = models_json_schema(
        [(model, "validation") for model in older],
        ref_template=_REF.replace("name", "model"),
        schema_generator=_Plain,
    )
    return {**{name: _open(schema) for name, schema in schemas.items()}, **document.get("$defs", {})}


def schema_ref(model: type[Any]) -> Json:
    return {"$ref": _REF.format(name=model.__name__)}


def _open(schema: Json) -> Json:
    """Fields may be added; a description is one paragraph."""
    described = {"description": " ".join(cleandoc(schema["description"]).split())} if "description" in schema else {}
    return {**schema, **described, "additionalProperties": True}
