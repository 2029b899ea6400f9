"""What John's endpoint adds to the P&L: what was collected. The pipeline is shown and counts nowhere."""

from __future__ import annotations

from pnl_backend.domain.classic import JohnsFigures, johns_lines
from pnl_backend.domain.lines import Contribution, Moment
from pnl_backend.domain.money import cents
from pnl_backend.domain.readings import Deal, Revenue

RECENT_DEALS = 5


def contribute(revenue: Revenue, moment: Moment) -> Contribution[JohnsFigures]:  # noqa: ARG001 - a contribution's form
    figures = JohnsFigures(
        cents(revenue.invoiced), cents(revenue.collected), cents(revenue.pipeline), _recent(revenue.deals)
    )
    return Contribution(figures, johns_lines(revenue.collected))


def _recent(deals: tuple[Deal, ...]) -> tuple[Deal, ...]:
    """The newest closed deals first; ties and open ones by id, so that the order never depends on the upstream's."""
    closed = [deal for deal in deals if deal.status != "pipeline"]
    closed.sort(key=lambda deal: (-(deal.closed_at or 0), deal.id))
    return tuple(closed[:RECENT_DEALS])
