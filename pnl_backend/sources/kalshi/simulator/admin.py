"""Commands that change the simulated Kalshi: accounts, keys, trades, outcomes, the archive, cash and freshness."""

from __future__ import annotations

import random
import secrets
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, get_args

from pnl_backend.sources.simulated.units import ZERO

from .account import Account
from .auth import Keys
from .book import KalshiBook
from .exchange import Exchange
from .records import LAST_SUBACCOUNT, Fill, Market, Outcome, SubaccountTransfer, Transfer
from .rest_view import Falsified, RestViews
from .signing import KeyKind, generate

TransferStatus = Literal["pending", "applied", "failed", "returned"]


@dataclass(frozen=True)
class KalshiKey:
    """An API key of one account; the private half stays out of the representation."""

    key_id: str
    user_id: str
    private_key_pem: str = field(repr=False)


class KalshiAdmin:
    """Each command is about the first account unless a `user_id` names another; ValueError for what cannot be."""

    def __init__(
        self,
        exchange: Exchange,
        keys: Keys,
        views: RestViews,
        falsified: Falsified,
        *,
        seed: int,
        clock: Callable[[], float],
    ) -> None:
        self.exchange = exchange
        self._keys = keys
        self._views = views
        self._falsified = falsified
        self._clock = clock
        self._rng = random.Random(seed)  # noqa: S311 - a predictable simulation is the point

    @property
    def user_ids(self) -> list[str]:
        return [account.user_id for account in self.exchange.accounts]

    def account(self, user_id: str | None = None) -> Account:
        """An account as it is, whatever REST shows of it."""
        return self.exchange.accounts[0] if user_id is None else self.exchange.account_of(user_id)

    def add_account(self, book: KalshiBook | None = None) -> str:
        """Open another account on the same exchange and give its user id: the one of a book, or an empty one."""
        given = KalshiBook() if book is None else book.copy()
        account = given.account
        account.user_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        for market in given.markets.values():
            self.exchange.markets.setdefault(market.ticker, market)
        self.exchange.accounts.append(account)
        return account.user_id

    def new_key(self, user_id: str | None = None, *, kind: KeyKind = "ed25519") -> KalshiKey:
        """Another key of an account; those that it has go on working until they are revoked."""
        account = self.account(user_id)
        private, public = generate(kind)
        key = KalshiKey(f"sim-{secrets.token_hex(8)}", account.user_id, private)
        self._keys.admit(key.key_id, public, account.user_id)
        return key

    def revoke_key(self, key_id: str) -> None:
        """Refuse a key from now on."""
        self._keys.revoke(key_id)

    def trade(
        self,
        ticker: str,
        outcome: Literal["yes", "no"],
        count: Decimal,
        yes_price: Decimal,
        *,
        is_taker: bool = True,
        subaccount: int = 0,
        user_id: str | None = None,
    ) -> Fill:
        """Fill an order: buy `count` contracts of one outcome at USD `yes_price` per YES contract."""
        market = self.exchange.market(ticker)
        if market.status != "active" or outcome not in ("yes", "no") or count <= 0 or not 0 < yes_price < 1:
            raise ValueError("a trade needs an active market, an outcome, a count above 0 and a price between 0 and 1")
        return self.exchange.trade(
            self.account(user_id),
            market,
            outcome,
            count,
            yes_price,
            is_taker=is_taker,
            subaccount=_numbered(subaccount),
            rng=self._rng,
        )

    def open_market(self, ticker: str, bid: Decimal, ask: Decimal, last: Decimal = ZERO, *, title: str = "") -> None:
        """List a market with fixed prices, these (USD per YES contract)."""
        self.exchange.open_market(Market(ticker, title or ticker, bid, ask, last, bid, frozen=True))

    def quote(self, ticker: str, bid: Decimal, ask: Decimal, last: Decimal | None = None) -> None:
        """Set a market's prices; the last one stays without `last`."""
        self.exchange.quote(ticker, bid, ask, last)

    def determine(self, ticker: str, result: Outcome, value: Decimal | None = None) -> None:
        """Fix an outcome without paying it out; `value` is USD per YES contract of a scalar result."""
        _known_result(result)
        self.exchange.determine(ticker, result, value)

    def settle(self, ticker: str) -> None:
        """Pay out a determined market."""
        self.exchange.settle(ticker)

    def revise(self, ticker: str, result: Outcome, value: Decimal | None = None) -> None:
        """Correct the outcome of a settled market, archived or not, and what it paid."""
        _known_result(result)
        self.exchange.revise(ticker, result, value)

    def archive(self, tickers: Iterable[str] | None = None, *, settlements_stay: bool = False) -> list[str]:
        """Move settled markets (all of them, or these) to the historical routes, with all that is in them.

        Their settlements, which no historical route serves, go too unless they stay.
        """
        return self.exchange.archive(tickers, settlements_stay=settlements_stay)

    def age_out(self, keep: int) -> list[str]:
        """Move settled positions beyond `keep` to the archive, but not their fills; the tickers that went."""
        return self.exchange.age_out(keep)

    def set_live_days(self, days: int | None) -> None:
        """How old settled data gets before it is archived; None archives by command alone. Nothing comes back."""
        self.exchange.live_days = days
        self.exchange.hand_over()

    def put_transfer(
        self,
        kind: Literal["deposit", "withdrawal"],
        transfer_id: str,
        amount_cents: int,
        *,
        fee_cents: int = 0,
        status: TransferStatus = "applied",
        user_id: str | None = None,
    ) -> Transfer:
        """Add a deposit or a withdrawal, or change the one with this id; only an applied one is in the cash."""
        if kind not in ("deposit", "withdrawal") or status not in get_args(TransferStatus) or amount_cents < 0:
            raise ValueError("a transfer is a deposit or withdrawal, in cents, pending, applied, failed or returned")
        account, now = self.account(user_id), self._clock()
        finalized = None if status == "pending" else now
        row = Transfer(account.next_seq(), transfer_id, kind, amount_cents, fee_cents, status, now, finalized)
        account.put_transfer(row)
        return row

    def move_cash(
        self, source: int, target: int, amount_cents: int, *, user_id: str | None = None
    ) -> SubaccountTransfer:
        """Move cash between two subaccounts."""
        account = self.account(user_id)
        return account.move_cash(_numbered(source), _numbered(target), amount_cents, self._clock())

    def adjust(self, amount: Decimal, *, user_id: str | None = None) -> None:
        """Credit USD that no list shows, as Kalshi does with interest and incentives (below 0: charge)."""
        self.account(user_id).adjustments += amount

    def falsify(self, name: str, row_id: str, fields: dict[str, Any] | None) -> None:
        """Make REST show one row with other fields, or not at all (None); nothing else changes with it."""
        self._falsified.put(name, row_id, fields)

    def clear_falsified(self) -> None:
        """Make REST show every row as it is."""
        self._falsified.clear()

    def hold_rest(self) -> None:
        """Stop REST at this moment while the feed continues; `user_data_timestamp` is this moment."""
        self._views.hold(self.exchange.accounts, self._clock())

    def release_rest(self) -> None:
        """Let REST show what is true now."""
        self._views.release()

    def set_rest_lag(self, seconds: float) -> None:
        """Let REST fall behind by up to so many seconds, then catch up; 0 ends it."""
        if seconds < 0:
            raise ValueError("a lag is not below 0")
        self._views.lag = seconds


def _numbered(subaccount: int) -> int:
    if not ZERO <= subaccount <= LAST_SUBACCOUNT:
        raise ValueError(f"subaccounts are 0 to {LAST_SUBACCOUNT}")
    return subaccount


def _known_result(result: str) -> None:
    if result not in get_args(Outcome):
        raise ValueError(f"no such result: {result}")
