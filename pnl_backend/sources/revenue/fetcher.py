"""Reads John's revenue endpoint: totals, or a list of deals."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast, get_args

from pnl_backend.domain.accounts import Evidence
from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import Deal, DealStatus, Fetched, Revenue
from pnl_backend.errors import InvalidResponse
from pnl_backend.sources.account import AccountIdentity, AnyAccount, Recognise
from pnl_backend.sources.base import Upstream, UpstreamClient
from pnl_backend.sources.fields import Object, milliseconds, moment, money, objects, optional_text, refuse, text

JOHN = Upstream("John's revenue endpoint", "JOHNS_REVENUE_URL", "JOHNS_REVENUE_TOKEN")

_ROOT = "John's revenue: "


class RevenueFetcher:
    """Both shapes of the endpoint; `as_of` is the moment the fetch began by `clock` (s)."""

    def __init__(
        self,
        client: UpstreamClient,
        *,
        url: str,
        token: str | None = None,
        identity: AccountIdentity | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._identity = identity or AnyAccount()
        self._clock = clock

    async def fetch(self) -> Fetched[Revenue]:
        """The figures since the beginning; raises FetchError."""
        as_of = int(self._clock() * 1000)
        answer = await self._client.get_json(JOHN, self._url, headers=self._headers)
        revenue = read_revenue(answer)
        await self._identity.confirm(recognise=_known_deals(revenue) if revenue.deals else None)
        return Fetched(revenue, as_of)


def _known_deals(revenue: Revenue) -> Recognise:
    async def recognise(evidence: Evidence) -> Sequence[str]:
        """The ledger's deals that this answer has; nothing is fetched."""
        listed = {deal.id for deal in revenue.deals}
        return [f"deal {deal}" for deal in evidence.deals if deal in listed]

    return recognise


def read_revenue(answer: Any) -> Revenue:
    """Totals, `{"deals": [...]}` or a bare list of deals; one bad amount makes the whole answer invalid."""
    if isinstance(answer, list):
        return _from_deals({"deals": answer})
    if not isinstance(answer, dict):
        raise InvalidResponse("John's revenue is neither totals nor a list of deals")
    if "deals" in answer:
        return _from_deals(answer)
    return Revenue(_amount(answer, "invoiced", _ROOT), _amount(answer, "collected", _ROOT))


def _from_deals(answer: Object) -> Revenue:
    """Invoiced is recognized plus pending, collected is recognized; the pipeline is no revenue."""
    rows = objects(answer, "deals", _ROOT)
    deals = tuple(_deal(row, f"{_ROOT}deals[{index}]") for index, row in enumerate(rows))
    seen: set[str] = set()
    for index, deal in enumerate(deals):
        if deal.id in seen:
            refuse(f"{_ROOT}deals[{index}]", "id", "comes twice", deal.id)
        seen.add(deal.id)
    recognized, pending, pipeline = (_total(deals, status) for status in get_args(DealStatus))
    return Revenue(recognized + pending, recognized, pipeline, deals, lists_deals=True)


def _total(deals: tuple[Deal, ...], status: DealStatus) -> Decimal:
    return sum((deal.amount for deal in deals if deal.status == status), ZERO)


def _deal(row: Object, path: str) -> Deal:
    status = text(row, "status", path)
    if status not in get_args(DealStatus):
        refuse(path, "status", f"is none of {', '.join(get_args(DealStatus))}", status)
    return Deal(
        id=text(row, "id", path),
        name=optional_text(row, "name", path) or "",
        amount=_amount(row, "amount", path),
        status=cast(DealStatus, status),
        closed_at=_closed_at(row, path),
    )


def _closed_at(row: Object, path: str) -> int | None:
    """`YYYY-MM-DD` at 00:00 UTC, or ISO 8601 with an offset; None where it is missing or empty."""
    value = optional_text(row, "closed_date", path)
    if not value:
        return None
    if len(value) != 10:
        return moment(row, "closed_date", path)
    try:
        day = date.fromisoformat(value)
    except ValueError:
        refuse(path, "closed_date", "is not a date", value)
    return milliseconds(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _amount(row: Object, field: str, path: str) -> Decimal:
    amount = money(row, field, path)
    if amount < 0:
        refuse(path, field, "is negative", amount)
    return amount
