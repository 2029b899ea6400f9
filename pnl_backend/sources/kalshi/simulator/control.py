"""The control route's commands about Kalshi's accounts, markets, archive, feed and freshness.

    {"action": "age_out", "keep": 0}           settled markets leave the live lists
    {"action": "feed", "do": "drop"}           the WebSocket: "drop", "mute", "unmute", or "fail" with "code": 10
    {"action": "add_account"}                  an empty one; the answer names its user_id
    {"action": "new_key", "user_id": "..."}    another key; the answer holds key_id and private_key_pem
    {"action": "revoke_key", "key_id": "..."}
    {"action": "open_market", "ticker": "...", "bid": "0.40", "ask": "0.42", "last": "0.41"}   fixed prices
    {"action": "quote", "ticker": "...", "bid": "0.40", "ask": "0.42"}   "last" as well
    {"action": "trade", "ticker": "...", "outcome": "yes", "count": "2.5", "yes_price": "0.41"}
    {"action": "determine", "ticker": "...", "result": "scalar", "value": "0.25"}   then   {"action": "settle", ...}
    {"action": "revise", "ticker": "...", "result": "no"}   corrects what a settled market paid
    {"action": "archive", "tickers": ["..."]}  settled markets, all of them without "tickers"; "settlements_stay": true
    {"action": "live_days", "days": 30}        null archives by command alone
    {"action": "transfer", "kind": "deposit", "id": "d-1", "amount_cents": 500, "status": "returned"}
    {"action": "move_cash", "from": 0, "to": 3, "amount_cents": 2500}
    {"action": "adjust", "amount": "1.25"}     interest or an incentive, in no list
    {"action": "falsify", "list": "fills", "id": "...", "fields": {"count_fp": "3.00"}}   one row; null leaves it out
    {"action": "clear_falsified"}
    {"action": "rest", "do": "hold"}           "release", or "lag" with "seconds"

Commands about an account take a "user_id"; without one they are about the first account.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pnl_backend.sources.simulated.simulation import Action

from .admin import KalshiAdmin
from .feed import KalshiFeed

Command = dict[str, Any]


class KalshiControl:
    """Runs each command; what it returns is added to the answer."""

    def __init__(self, admin: KalshiAdmin, feed: KalshiFeed) -> None:
        self._admin = admin
        self._feed = feed
        self.actions: dict[str, Action] = {
            "age_out": self._age_out,
            "feed": self._change_feed,
            "add_account": self._add_account,
            "new_key": self._new_key,
            "revoke_key": lambda command: admin.revoke_key(command["key_id"]),
            "open_market": lambda command: admin.open_market(command["ticker"], *_prices(command)),
            "quote": lambda command: admin.quote(command["ticker"], *_prices(command)),
            "trade": self._trade,
            "determine": self._determine,
            "settle": lambda command: admin.settle(command["ticker"]),
            "revise": self._revise,
            "archive": self._archive,
            "live_days": self._live_days,
            "transfer": self._transfer,
            "move_cash": self._move_cash,
            "adjust": lambda command: admin.adjust(_decimal(command["amount"]), user_id=command.get("user_id")),
            "falsify": lambda command: admin.falsify(command["list"], command["id"], command["fields"]),
            "clear_falsified": lambda _: admin.clear_falsified(),
            "rest": self._rest,
        }

    def _add_account(self, _command: Command) -> Command:
        return {"user_id": self._admin.add_account()}

    def _new_key(self, command: Command) -> Command:
        key = self._admin.new_key(command.get("user_id"), kind=command.get("kind", "ed25519"))
        return {"key_id": key.key_id, "user_id": key.user_id, "private_key_pem": key.private_key_pem}

    def _trade(self, command: Command) -> Command:
        fill = self._admin.trade(
            command["ticker"],
            command["outcome"],
            _decimal(command["count"]),
            _decimal(command["yes_price"]),
            is_taker=bool(command.get("is_taker", True)),
            subaccount=int(command.get("subaccount", 0)),
            user_id=command.get("user_id"),
        )
        return {"fill_id": fill.fill_id}

    def _determine(self, command: Command) -> None:
        value = command.get("value")
        self._admin.determine(command["ticker"], command["result"], None if value is None else _decimal(value))

    def _revise(self, command: Command) -> None:
        value = command.get("value")
        self._admin.revise(command["ticker"], command["result"], None if value is None else _decimal(value))

    def _archive(self, command: Command) -> Command:
        stay = bool(command.get("settlements_stay", False))
        return {"archived": self._admin.archive(command.get("tickers"), settlements_stay=stay)}

    def _live_days(self, command: Command) -> None:
        days = command["days"]
        self._admin.set_live_days(None if days is None else int(days))

    def _transfer(self, command: Command) -> None:
        self._admin.put_transfer(
            command["kind"],
            command["id"],
            int(command["amount_cents"]),
            fee_cents=int(command.get("fee_cents", 0)),
            status=command.get("status", "applied"),
            user_id=command.get("user_id"),
        )

    def _move_cash(self, command: Command) -> None:
        source, target, cents = (int(command[name]) for name in ("from", "to", "amount_cents"))
        self._admin.move_cash(source, target, cents, user_id=command.get("user_id"))

    def _age_out(self, command: Command) -> None:
        self._admin.age_out(int(command.get("keep", 0)))

    def _change_feed(self, command: Command) -> None:
        do = command["do"]
        if do == "drop":
            self._feed.drop()
        elif do == "fail":
            self._feed.fail(int(command.get("code", 10)))
        elif do in ("mute", "unmute"):
            self._feed.muted = do == "mute"
        else:
            raise ValueError("do is drop, mute, unmute or fail")

    def _rest(self, command: Command) -> None:
        do = command["do"]
        if do == "hold":
            self._admin.hold_rest()
        elif do == "release":
            self._admin.release_rest()
        elif do == "lag":
            self._admin.set_rest_lag(float(command["seconds"]))
        else:
            raise ValueError("do is hold, release or lag")


def _prices(command: Command) -> list[Decimal]:
    return [_decimal(command[name]) for name in ("bid", "ask", "last") if name in command]


def _decimal(value: Any) -> Decimal:
    return Decimal(str(value))
