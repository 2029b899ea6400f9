"""What an organisation's API spend adds to the P&L: one expense, split by model family and by agent."""

from __future__ import annotations

from pnl_backend.domain.attribution import summarise
from pnl_backend.domain.classic import AnthropicFigures, anthropic_lines
from pnl_backend.domain.lines import Contribution, Moment
from pnl_backend.domain.money import ZERO, cents
from pnl_backend.domain.readings import AnthropicSpend
from pnl_backend.domain.times import utc_date


def contribute(spend: AnthropicSpend, moment: Moment) -> Contribution[AnthropicFigures]:
    """Spend since the beginning; it is summed once for a reading and not at every tick."""
    sums = moment.memo.get(moment.source, spend, lambda: summarise(spend, moment.rules))
    # The snapshot's own UTC day: a reading from before midnight lacks the new day's spend.
    daily = sums.by_day.get(utc_date(moment.at), ZERO)
    return Contribution(
        AnthropicFigures(cents(daily), cents(sums.total)),
        anthropic_lines(sums.total, sums.by_family, sums.by_agent),
        spend.estimated,
        spend.notes,
        spend.importing,
    )
