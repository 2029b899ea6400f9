"""John's revenue endpoint as a part of a simulation."""

from __future__ import annotations

import secrets
from copy import copy
from decimal import Decimal
from typing import Any

from pnl_backend.sources.simulated import Simulation

from .deals import Deal, DealBook, JohnsTruth, shipped_deals
from .endpoint import Endpoint, RevenueShape


class SimulatedRevenue:
    """Open until `token()` is asked for, unless a token is given.

    Commands of the control route:

        {"action": "set_deal", "id": "d-900", "amount": "1200.00", "status": "recognized"}   changes a deal, or adds it
        {"action": "remove_deal", "id": "d-900"}
    """

    def __init__(
        self,
        simulation: Simulation,
        deals: list[Deal] | None = None,
        *,
        token: str | None = None,
        shape: RevenueShape = "deals",
    ) -> None:
        clock = simulation.clock
        started = shipped_deals(clock()) if deals is None else [copy(deal) for deal in deals]
        self.book = DealBook(started, rng=simulation.rng, clock=clock, net=simulation.result)
        self.endpoint = Endpoint(self.book, shape=shape, token=token)
        self._upstream = simulation.upstream("johns", base="/api/revenue")
        self._upstream.add("", self.endpoint.get)
        simulation.on_step(self.book.step)
        simulation.counts(self.book.collected)
        simulation.actions.update(
            set_deal=self._set_deal, remove_deal=lambda command: self.book.remove_deal(command["id"])
        )

    @property
    def url(self) -> str:
        """The whole URL, `/api/revenue` included."""
        return self._upstream.url

    def token(self) -> str:
        """The token that is accepted; the same one each time."""
        if self.endpoint.token is None:
            self.endpoint.token = secrets.token_urlsafe(24)
        return self.endpoint.token

    def settings(self) -> dict[str, str]:
        return {"johns_revenue_url": self.url, "johns_revenue_token": self.token()}

    def truth(self) -> JohnsTruth:
        return self.book.truth()

    def _set_deal(self, command: dict[str, Any]) -> None:
        amount = command.get("amount")
        self.book.set_deal(
            command["id"],
            amount=None if amount is None else Decimal(str(amount)),
            status=command.get("status"),
            name=command.get("name"),
        )
