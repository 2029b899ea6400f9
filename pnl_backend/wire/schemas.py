"""Models as the schemas of a description: one place for how they look and how they are referred to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"


class _Plain(GenerateJsonSchema):
    """Titles that only repeat a field's name are left out."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def model_schemas(models: Iterable[type[BaseModel]]) -> Json:
    """The schemas of the models and of all that they are made of, by name."""
    _, document = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template=_REF, schema_generator=_Plain
    )
    schemas: Json = document["$defs"]
    return schemas


def schema_ref(model: type[BaseModel]) -> Json:
    return {"$ref": _REF.format(model=model.__name__)}
