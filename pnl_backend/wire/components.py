"""A source's figures as the component that clients see, and back; derived from how the figures were declared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from operator import attrgetter
from typing import Any

from pnl_backend.domain.figures import Kind, RestoredFigures, figures_of, shown_figures
from pnl_backend.domain.money import number
from pnl_backend.domain.readings import Deal
from pnl_backend.wire.json_values import Json, decimal_of, ms_of
from pnl_backend.wire.ledger_feed import deal as deal_message

Encode = Callable[[Any], Any]


def view(figures: Any) -> Json:
    """The component of a source."""
    if isinstance(figures, RestoredFigures):
        return dict(figures.shown)
    return {wire: encode(read(figures)) for wire, read, encode in _shown(_class(figures))}


def kept(figures: Any) -> Json:
    """What only the ledger keeps of a source."""
    if isinstance(figures, RestoredFigures):
        return {}
    return {wire: encode(read(figures)) for wire, read, encode in _ledger_only(_class(figures))}


def since(figures: Any, base: Any) -> Json:
    """The cumulative figures less those of `base`, an older snapshot's; without one they are all the period's."""
    earlier = {} if base is None else view(base)
    now = view(figures)
    return {
        wire: number(decimal_of(now[wire]) - decimal_of(earlier.get(wire, 0)))
        for wire in cumulative(figures)
        if now[wire] is not None
    }


def cumulative(figures: Any) -> list[str]:
    """Which figures of a component are totals since the beginning, by wire name."""
    if isinstance(figures, RestoredFigures):
        return list(figures.cumulative)
    return [figure.wire for figure in shown_figures(_class(figures)) if figure.cumulative]


def restored(model: Any, shown: Mapping[str, Any], detail: Json, totals: Collection[str]) -> Any:
    """The figures of a published component; without their `model` as they were published."""
    if model is None:
        return RestoredFigures(shown, tuple(totals))
    return model(
        **{name: decode(detail[wire] if kept_there else shown[wire]) for name, wire, kept_there, decode in _read(model)}
    )


def _class(figures: Any) -> Any:
    return type(figures)


def _deal_from(shown: Mapping[str, Any]) -> Deal:
    closed = None if shown["closedDate"] is None else ms_of(shown["closedDate"])
    return Deal(shown["id"], shown["name"], decimal_of(shown["amount"]), shown["status"], closed)


def _usd(amount: Any) -> Any:
    return None if amount is None else number(amount)


def _same(value: Any) -> Any:
    return value


_ENCODE: Mapping[Kind, Encode] = {
    "usd": _usd,
    "count": _same,
    "counts": dict,
    "text": _same,
    "deals": lambda deals: [deal_message(deal) for deal in deals],
}
_DECODE: Mapping[Kind, Encode] = {
    "usd": lambda value: None if value is None else decimal_of(value),
    "count": _same,
    "counts": _same,
    "text": _same,
    "deals": lambda shown: tuple(_deal_from(deal) for deal in shown),
}


@cache
def _shown(model: Any) -> tuple[tuple[str, Encode, Encode], ...]:
    return tuple((figure.wire, attrgetter(figure.field), _ENCODE[figure.kind]) for figure in shown_figures(model))


@cache
def _ledger_only(model: Any) -> tuple[tuple[str, Encode, Encode], ...]:
    return tuple(
        (figure.wire, attrgetter(figure.field), _ENCODE[figure.kind])
        for figure in figures_of(model)
        if figure.ledger_only
    )


@cache
def _read(model: Any) -> tuple[tuple[str, str, bool, Encode], ...]:
    """How each field of the model is read back: field, wire name, whether the detail has it, decoder."""
    given = {field.name for field in model.__dataclass_fields__.values() if field.init}
    return tuple(
        (figure.field, figure.wire, figure.ledger_only, _DECODE[figure.kind])
        for figure in figures_of(model)
        if figure.field in given
    )
