"""Kalshi as a part of a simulation."""

from __future__ import annotations

from collections.abc import Mapping

from pnl_backend.sources.simulated import Simulation

from .admin import KalshiAdmin, KalshiKey
from .api import KalshiApi
from .auth import kalshi_error
from .book import KalshiBook
from .control import KalshiControl
from .feed import PATH as FEED_PATH
from .feed import KalshiFeed
from .history import add_history
from .records import Generation
from .signing import KeyKind
from .trading import Trading
from .truth import KalshiTruth, kalshi_truth


class SimulatedKalshi:
    """`keys` are accepted beside those of `key()`: public PEM by id. `rate` is tokens a second, ten a request; None: no
    limit."""

    def __init__(
        self,
        simulation: Simulation,
        book: KalshiBook | None = None,
        *,
        keys: Mapping[str, str] | None = None,
        generation: Generation = "both",
        rate: float | None = 200.0,
    ) -> None:
        clock = simulation.clock
        self.trading = Trading(book or KalshiBook.shipped(clock()), rng=simulation.rng, clock=clock)
        self._upstream = simulation.upstream("kalshi", base="/trade-api/v2", error=kalshi_error)
        exchange = self.trading.exchange
        self.api = KalshiApi(exchange, self._upstream, generation=generation, tokens_per_second=rate)
        add_history(self.api)
        self.feed = KalshiFeed(exchange, self._upstream, self.api)
        self.admin = KalshiAdmin(
            exchange, self.api.keys, self.api.views, self.api.falsified, seed=simulation.seed, clock=clock
        )
        for key_id, pem in (keys or {}).items():
            self.api.keys.admit(key_id, pem, self.trading.account.user_id)
        self._generation: Generation = generation
        self._given: dict[tuple[KeyKind, str], KalshiKey] = {}
        simulation.on_step(self.trading.step)
        simulation.counts(self.trading.result)
        simulation.actions.update(KalshiControl(self.admin, self.feed).actions)

    @property
    def url(self) -> str:
        """Base URL, `/trade-api/v2` included."""
        return self._upstream.url

    @property
    def ws_url(self) -> str:
        """The feed's URL."""
        return self._upstream.origin.replace("http://", "ws://") + FEED_PATH

    def key(self, kind: KeyKind = "ed25519", user_id: str | None = None) -> KalshiKey:
        """A key that is accepted from now on; the same one for the same kind and account."""
        account = self.admin.account(user_id)
        if (kind, account.user_id) not in self._given:
            self._given[kind, account.user_id] = self.admin.new_key(account.user_id, kind=kind)
        return self._given[kind, account.user_id]

    def settings(self) -> dict[str, str]:
        given = self.key()
        return {
            "kalshi_api_url": self.url,
            "kalshi_api_key": given.key_id,
            "kalshi_private_key": given.private_key_pem,
        }

    def truth(self, user_id: str | None = None) -> KalshiTruth:
        """The exact figures of the first account or the one named."""
        return kalshi_truth(self.admin.account(user_id), self.trading.markets, self._generation)
