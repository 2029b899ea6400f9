"""John's revenue endpoint, in each of the shapes it may take."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Literal

from aiohttp import web

from pnl_backend.sources.simulated.upstream import json_error

from .deals import DealBook

RevenueShape = Literal["deals", "list", "totals", "strings"]


class Endpoint:
    """`deals` and `list` name each deal, `totals` sends two numbers, `strings` the same two as decimal strings."""

    def __init__(self, book: DealBook, *, shape: RevenueShape, token: str | None) -> None:
        self.shape: RevenueShape = shape
        self.token = token
        self._book = book

    async def get(self, request: web.Request) -> web.Response:
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return json_error(401, None)
        return web.json_response(self._body(), dumps=json.dumps)

    def _body(self) -> Any:
        if self.shape in ("totals", "strings"):
            truth = self._book.truth()
            write = str if self.shape == "strings" else _number
            return {"invoiced": write(truth.invoiced), "collected": write(truth.collected)}
        deals = [
            {"id": d.id, "name": d.name, "closed_date": d.closed_date, "amount": _number(d.amount), "status": d.status}
            for d in self._book.deals
        ]
        return deals if self.shape == "list" else {"deals": deals}


def _number(value: Decimal) -> float:
    # An amount of cents below 1e13 survives the way through a float's shortest text unharmed.
    return float(value)
