"""John's revenue endpoint, in each of the shapes it may take."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Literal

from aiohttp import web

from .truth import johns_truth
from .world import World

RevenueShape = Literal["deals", "list", "totals", "strings"]


class Revenue:
    """`deals` and `list` name each deal, `totals` sends two numbers, `strings` the same two as decimal strings."""

    def __init__(self, world: World, *, shape: RevenueShape, token: str | None) -> None:
        self.shape: RevenueShape = shape
        self.token = token
        self._world = world

    async def get(self, request: web.Request) -> web.Response:
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return revenue_error(401, None)
        return web.json_response(self._body(), dumps=json.dumps)

    def _body(self) -> Any:
        if self.shape in ("totals", "strings"):
            truth = johns_truth(self._world)
            write = str if self.shape == "strings" else _number
            return {"invoiced": write(truth.invoiced), "collected": write(truth.collected)}
        deals = [
            {"id": d.id, "name": d.name, "closed_date": d.closed_date, "amount": _number(d.amount), "status": d.status}
            for d in self._world.deals
        ]
        return deals if self.shape == "list" else {"deals": deals}


def revenue_error(status: int, retry_after: float | None) -> web.Response:
    """An in-house error: one line of JSON."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    reasons = {401: "missing or wrong token", 404: "not found", 429: "slow down"}
    return web.json_response({"error": reasons.get(status, "internal error")}, status=status, headers=headers)


def _number(value: Decimal) -> float:
    # An amount of cents below 1e13 survives the way through a float's shortest text unharmed.
    return float(value)
