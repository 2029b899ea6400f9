"""A Kalshi fetcher on a real ledger, and what tests do to the simulated account."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from pnl_backend.domain.readings import KalshiPortfolio, Reading
from pnl_backend.ledger.sqlite import Store
from pnl_backend.simulator import Simulator
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer
from pnl_backend.wire.views import to_record
from tests.support.snapshots import computed, taken


class Desk:
    """A fetcher on a real ledger; `poll` reads the account and commits its positions, as the server does."""

    def __init__(self, store: Store, simulator: Simulator, client: UpstreamClient, **options: Any) -> None:
        keys = simulator.credentials()
        self.store = store
        self.simulator = simulator
        self.fetcher = KalshiFetcher(
            client,
            base_url=simulator.kalshi_url,
            signer=Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem),
            markets=store.markets,
            **options,
        )

    async def poll(self, *, commit: bool = True) -> KalshiPortfolio:
        fetched = await self.fetcher.fetch()
        if commit:
            at = int(time.time() * 1000)
            reading = Reading("kalshi", fetched.value, at, at, "live")
            nothing = (Reading(name, None, at, at, "fallback") for name in ("anthropic", "johns"))
            snapshot = computed(taken(reading, *nothing), epoch=self.store.epoch, seq=self.store.last_seq + 1, at=at)
            await self.store.append(to_record(snapshot), positions=fetched.value.positions)
        return fetched.value

    async def imported(self) -> None:
        await self.fetcher.importer.read_due()

    def assert_exact(self, portfolio: KalshiPortfolio) -> None:
        truth = self.simulator.truth().kalshi
        assert figures(portfolio) == (truth.balance, truth.realized_pnl, truth.unrealized_pnl, truth.fees)
        assert portfolio.notes == ()
        assert portfolio.importing is None


def figures(portfolio: KalshiPortfolio) -> tuple[Decimal, ...]:
    unrealized = sum((position.unrealized_pnl for position in portfolio.positions), Decimal(0))
    return portfolio.balance, portfolio.realized_pnl, unrealized, portfolio.fees


def held(simulator: Simulator) -> list[str]:
    """Markets of subaccount 0 in which contracts are held and which can be decided."""
    markets = simulator.kalshi.exchange.markets
    return [
        position.ticker
        for (subaccount, _), position in simulator.trading.account.positions.items()
        if not subaccount and position.quantity and markets[position.ticker].status == "active"
    ]


def settle(simulator: Simulator, ticker: str, result: Any = "yes", value: Decimal | None = None) -> None:
    simulator.kalshi.determine(ticker, result, value)
    simulator.kalshi.settle(ticker)
