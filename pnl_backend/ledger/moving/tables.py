"""The tables of a ledger and their columns: in which order they are copied, and how they are compared."""

from __future__ import annotations

from typing import NamedTuple


class Table(NamedTuple):
    """One table. `key` orders it and is unique; whole numbers and amounts are summed, text and bytes are measured.

    A `kept` table only grows, so that an interrupted copy is continued; any other is copied again as a whole.
    """

    name: str
    key: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    amounts: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    kept: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column, those of the key first."""
        return tuple(dict.fromkeys((*self.key, *self.numbers, *self.amounts, *self.texts)))


def _table(name: str, key: str, numbers: str = "", amounts: str = "", texts: str = "", *, kept: bool = False) -> Table:
    return Table(name, _names(key), _names(numbers), _names(amounts), _names(texts), kept)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PAYLOADS = _table("payloads", "seq", "seq", texts="data detail", kept=True)

TABLES = (
    _table("meta", "key", texts="key value"),
    _table("epochs", "first_seq", "first_seq", texts="epoch"),
    _table("marks", "id", "id complete estimated", texts="whole not_live"),
    _table("snapshots", "seq", "seq at net kalshi costs revenue marks", kept=True),
    PAYLOADS,
    _table("gaps", "first_seq", "first_seq last_seq noted_at"),
    _table("skips", "first_seq", "first_seq last_seq noted_at"),
    _table("restatements", "id", "id at to_seq", texts="source reason"),
    _table(
        "rollups",
        "span start",
        "span start first_seq last_seq open high low close kalshi costs revenue count complete estimated",
        texts="not_live",
    ),
    _table("positions", "ticker subaccount", "subaccount changed_at settled", "realized fees quantity cost", "ticker"),
    _table("imports", "name", "done began_at saved_at complete_at", texts="name cursor"),
    _table(
        "fills",
        "fill_id",
        "is_taker at subaccount time_estimated",
        "count yes_price fee",
        "fill_id order_id ticker side",
    ),
    _table(
        "settlements",
        "key",
        "at subaccount",
        "yes_count yes_cost no_count no_cost revenue value fee",
        "key ticker result",
    ),
    _table("outcomes", "ticker", "", "value", "ticker"),
    _table("transfers", "key", "created_at finalized_at", "amount fee", "key kind id status"),
    _table("transfer_states", "rowid", "rowid until finalized_at", "amount fee", "key status"),
    _table("adjustments", "id", "id at noted_at", "amount", "account kind reason", kept=True),
    _table("deals", "id seen_at", "seen_at closed_at", "amount", "id name status"),
    _table("cost_days", "day", "confirmed_at", texts="day report"),
    _table("costs", "rowid", "rowid", "amount", "day model workspace_id api_key_id"),
    _table("corrections", "rowid", "rowid at", "before after", "kind ref"),
    _table("walks", "name", "complete_to top bottom rows finished_at", texts="name"),
    _table("accounts", "source", "noted_at", texts="source host id name"),
    _table("set_aside", "rowid", "rowid at", texts="source account kind fact"),
    _table("imported_snapshots", "seq", "seq trades taken_at"),
    _table(
        "imported_trades",
        "id",
        "at taken_at",
        "quantity entry_price current_price realized",
        "id symbol side status created_at",
    ),
    _table("imported_costs", "id", "tokens at taken_at", "amount", "id month created_at"),
    _table("imported_deals", "id", "at taken_at", "amount", "id name closed_date status created_at"),
    _table("unconfirmed", "kind key", texts="kind key"),
)
"""In the order of copying: a market, fill or settlement that is inserted is taken out of `unconfirmed`."""

OWN_META = ("application", "schema", "moving")
"""Keys of `meta` that belong to one database and are not copied."""
