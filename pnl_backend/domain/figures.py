"""What a source shows: its figures, each declared once with its kind and its help.

JSON, the API description, the periods and the dashboard's card all derive from these declarations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, dataclass_transform

Kind = Literal["usd", "count", "counts", "text", "deals"]
"""USD in whole cents; a whole number; whole numbers by name; text; John's deals, which the ledger alone keeps."""

_KEY = "pnl_figure"
Model = TypeVar("Model")
_read: dict[Any, tuple[Figure, ...]] = {}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: `field` is the attribute, `wire` its name for clients (or in the ledger's detail).

    `cumulative` figures are totals since the beginning: a period's figure is the difference of two of them.
    `ledger_only` figures are kept in the ledger's detail and not in the component. `added_later` marks a figure that
    older snapshots may lack.
    """

    field: str
    wire: str
    kind: Kind
    help: str
    cumulative: bool
    ledger_only: bool
    added_later: bool


@dataclass(frozen=True, slots=True)
class _Declared:
    kind: Kind
    help: str
    cumulative: bool = False
    ledger_name: str | None = None
    added_later: bool = False


def usd(
    help_text: str,
    *,
    cumulative: bool = False,
    init: bool = True,
    ledger_name: str | None = None,
    added_later: bool = False,
) -> Any:
    """A `Decimal` in USD, or None where the figure may be unknown; `init=False` for one set in `__post_init__`."""
    return _field(_Declared("usd", help_text, cumulative, ledger_name, added_later), init=init)


def count(help_text: str, *, ledger_name: str | None = None) -> Any:
    """A whole number of 0 or more."""
    return _field(_Declared("count", help_text, ledger_name=ledger_name))


def counts(help_text: str, *, added_later: bool = False) -> Any:
    """Whole numbers by name."""
    return _field(_Declared("counts", help_text, added_later=added_later))


def text(help_text: str) -> Any:
    """A `str`."""
    return _field(_Declared("text", help_text))


def kept_deals(ledger_name: str) -> Any:
    """A tuple of deals that the ledger keeps beside the snapshot."""
    return _field(_Declared("deals", "", ledger_name=ledger_name))


def _field(declared: _Declared, *, init: bool = True) -> Any:
    return dataclasses.field(init=init, metadata={_KEY: declared})


@dataclass_transform(frozen_default=True, field_specifiers=(usd, count, counts, text, kept_deals))
def figures(model: type[Model]) -> type[Model]:
    """Class decorator: a frozen dataclass of which every field is a figure; TypeError for a field that is none."""
    made = dataclass(frozen=True, slots=True)(model)
    figures_of(made)
    return made


def figures_of(model: Any) -> tuple[Figure, ...]:
    """The figures of a class in their order; TypeError for a class that has none, or a field without its kind."""
    name: str = model.__name__
    if not dataclasses.is_dataclass(model):
        raise TypeError(f"{name} has no figures: decorate it with @figures")
    if model in _read:
        return _read[model]
    found = []
    for field in dataclasses.fields(model):
        declared = field.metadata.get(_KEY)
        if not isinstance(declared, _Declared):
            raise TypeError(f"{name}.{field.name} has no kind: declare it with usd(...) or count(...)")
        found.append(
            Figure(
                field.name,
                declared.ledger_name or camel(field.name),
                declared.kind,
                declared.help,
                declared.cumulative,
                declared.ledger_name is not None,
                declared.added_later,
            )
        )
    _read[model] = tuple(found)
    return _read[model]


def shown_figures(model: Any) -> tuple[Figure, ...]:
    """The figures that clients see."""
    return tuple(figure for figure in figures_of(model) if not figure.ledger_only)


def camel(name: str) -> str:
    """`realized_pnl` in the JSON: `realizedPnl`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


@dataclass(frozen=True, slots=True)
class RestoredFigures:
    """Figures read back from the ledger as they were published, by wire name; `cumulative` names the totals.

    Nothing else need be known of their source: it may not even be registered any more.
    """

    shown: Mapping[str, Any]
    cumulative: tuple[str, ...]
