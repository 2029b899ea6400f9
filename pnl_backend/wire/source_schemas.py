"""The schemas of what depends on the sources: their components, their states and their circuit breakers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

from pnl_backend.domain.figures import Figure, Kind, shown_figures
from pnl_backend.domain.readings import SourceName
from pnl_backend.wire.message import Message
from pnl_backend.wire.models import SourceState
from pnl_backend.wire.operations import BreakerState
from pnl_backend.wire.schemas import schema_ref

Json = dict[str, Any]

_SCHEMA: Mapping[Kind, Json] = {
    "usd": {"type": "number"},
    "count": {"minimum": 0, "type": "integer"},
    "counts": {"additionalProperties": {"type": "integer"}, "type": "object"},
    "text": {"type": "string"},
}
_ABSENT: Mapping[Kind, Any] = {"usd": 0.0, "counts": {}}
"""The value of a figure that older snapshots lack."""


@dataclass(frozen=True, slots=True)
class DescribedSource:
    """A source as descriptions and the dashboard need it; `card` pairs a figure's attribute with its label."""

    name: SourceName
    label: str
    service: str
    figures: type[Any]
    card: Sequence[tuple[str, str]]


class CardRow(Message):
    """One row of a card: the component's field, its label, and how it is formatted."""

    field: str
    label: str
    format: Kind


class SourceCard(Message):
    """One source: its name and label, its circuit breaker's name, and the rows of its card."""

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
    components = {source.name: schema_ref(_component_name(source)) for source in sources}
    added: Json = {}
    if "Snapshot" in schemas:
        added["Components"] = _by_name("Components", "The figures of each source, by its name.", components)
        states = dict.fromkeys(components, schema_ref(SourceState))
        added["Sources"] = _by_name("Sources", "The state of each source, by its name.", states)
        schemas["Snapshot"]["properties"] |= {"components": schema_ref("Components"), "sources": schema_ref("Sources")}
    if "Breakdown" in schemas:
        shown = schemas["Breakdown"]
        shown["properties"] = {**components, **shown["properties"]}
        shown["required"] = [*components, *shown["required"]]
    if "Breakers" in schemas:
        breakers = {source.service: schema_ref(BreakerState) for source in sources}
        described = "The circuit breaker of each source, by its service name."
        added["BreakerServices"] = _by_name("BreakerServices", described, breakers)
        schemas["Breakers"]["properties"]["services"] = schema_ref("BreakerServices")
    if "Snapshot" in schemas or "Breakdown" in schemas:
        added |= {_component_name(source): _component(source) for source in sources}
    return {**schemas, **added}


def _component_name(source: DescribedSource) -> str:
    return f"{''.join(word.capitalize() for word in source.name.split('-'))}Component"


def _by_name(title: str, description: str, properties: Json) -> Json:
    return {
        "title": title,
        "description": description,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": True,
    }


def _component(source: DescribedSource) -> Json:
    shown = shown_figures(source.figures)
    described = cleandoc(source.figures.__doc__ or "")
    schema = _by_name(_component_name(source), described, {figure.wire: _figure(figure) for figure in shown})
    return {**schema, "required": [figure.wire for figure in shown if not figure.added_later]}


def _figure(figure: Figure) -> Json:
    absent = {"default": _ABSENT[figure.kind]} if figure.added_later else {}
    return {**_SCHEMA[figure.kind], **absent, "description": figure.help}
