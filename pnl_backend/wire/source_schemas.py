"""The schemas of what depends on the sources: their components, their states and their circuit breakers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

from pnl_backend.domain.figures import Figure, Kind, shown_figures
from pnl_backend.domain.readings import SourceName
from pnl_backend.wire.message import Message
from pnl_backend.wire.models import BreakerState, SourceState
from pnl_backend.wire.schemas import model_schemas

Json = dict[str, Any]

_REF = "#/components/schemas/"
_SCHEMA: Mapping[Kind, Json] = {
    "usd": {"type": "number"},
    "count": {"minimum": 0, "type": "integer"},
    "counts": {"additionalProperties": {"type": "integer"}, "type": "object"},
    "text": {"type": "string"},
}
_ABSENT: Mapping[Kind, Any] = {"usd": 0.0, "counts": {}}
"""What a figure that older snapshots lack stands for."""


@dataclass(frozen=True, slots=True)
class DescribedSource:
    """A source as descriptions and the dashboard need it; `card` pairs a figure's attribute with its label."""

    name: SourceName
    label: str
    service: str
    figures: type[Any]
    card: Sequence[tuple[str, str]]


class CardRow(Message):
    """One row of a card: the component's field, what stands before it, and how it is written."""

    field: str
    label: str
    format: Kind


class SourceCard(Message):
    """One source: what it is called, its circuit breaker's name, and the rows of its card."""

    name: str
    label: str
    service: str
    rows: list[CardRow]


class SourceList(Message):
    """Every source of this server, in the order of the snapshot's components."""

    sources: list[SourceCard]


def source_list(sources: Sequence[DescribedSource]) -> SourceList:
    """The body of `/api/sources`."""
    return SourceList([_card(source) for source in sources])


def _card(source: DescribedSource) -> SourceCard:
    figures = {figure.field: figure for figure in shown_figures(source.figures)}
    rows = [CardRow(figures[field].wire, label, figures[field].kind) for field, label in source.card]
    return SourceCard(source.name, source.label, source.service, rows)


def with_sources(schemas: Json, sources: Sequence[DescribedSource]) -> Json:
    """The schemas, and in those that have a field for each source, these fields."""
    if not sources:
        return schemas
    added: Json = {}
    for source in sources:
        component = f"{''.join(word.capitalize() for word in source.name.split('-'))}Component"
        added[component] = _component(component, source.figures)
        refer = {"$ref": _REF + component}
        fields = {
            "Components": (source.name, refer),
            "Breakdown": (source.name, refer),
            "Sources": (source.name, {"$ref": _REF + "SourceState"}),
            "BreakerServices": (source.service, {"$ref": _REF + "BreakerState"}),
        }
        for model, (field, schema) in fields.items():
            if model in schemas:
                schemas[model] = _with_field(schemas[model], field, schema)
    if "Sources" in schemas:
        added |= model_schemas([SourceState])
    if "BreakerServices" in schemas:
        added |= model_schemas([BreakerState])
    return {**schemas, **added} if "Components" in schemas or "Breakdown" in schemas else schemas


def _with_field(schema: Json, field: str, of: Json) -> Json:
    properties = {**schema.get("properties", {}), field: of}
    return {**schema, "properties": properties, "required": [*schema.get("required", []), field]}


def _component(title: str, figures: type[Any]) -> Json:
    shown = shown_figures(figures)
    return {
        "additionalProperties": True,
        "description": cleandoc(figures.__doc__ or ""),
        "properties": {figure.wire: _figure(figure) for figure in shown},
        "required": [figure.wire for figure in shown if not figure.added_later],
        "title": title,
        "type": "object",
    }


def _figure(figure: Figure) -> Json:
    absent = {"default": _ABSENT[figure.kind]} if figure.added_later else {}
    return {**_SCHEMA[figure.kind], **absent, "description": figure.help}
