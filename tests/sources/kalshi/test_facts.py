"""Fills, settlements and transfers against the simulator, and against rows that it does not produce."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pnl_backend.domain.ledger_facts import Fill, Settlement, Transfer
from pnl_backend.errors import InvalidResponse
from pnl_backend.simulator import Book, Simulator
from pnl_backend.sources.kalshi import facts
from pnl_backend.sources.kalshi.facts import read_fills, read_settlement, read_transfers, unique
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer
from tests.support.kalshi_history import fills_of, settlements_of

FILL = {
    "fill_id": "f-1",
    "trade_id": "t-1",
    "order_id": "o-1",
    "ticker": "M-1",
    "outcome_side": "yes",
    "count_fp": "2.50",
    "yes_price_dollars": "0.4100",
    "no_price_dollars": "0.5900",
    "is_taker": True,
    "fee_cost": "0.0700",
    "created_time": "2026-02-25T02:55:17.495863Z",
    "ts": 1771988117,
}
SETTLEMENT = {
    "ticker": "M-1",
    "market_result": "scalar",
    "yes_count_fp": "3.00",
    "yes_total_cost_dollars": "1.2300",
    "no_count_fp": "0.00",
    "no_total_cost_dollars": "0.0000",
    "revenue": 75,
    "value": 25,
    "fee_cost": "0.0100",
    "settled_time": "2026-02-25T12:00:00Z",
}
TRANSFER = {"id": "t-1", "amount_cents": 12345, "fee_cents": 5, "status": "applied", "finalized_ts": 1771988117}


def read_fill(row: dict[str, Any], path: str) -> Fill:
    return facts.read_fill(row, path, otherwise=1)


def fetcher_of(client, simulator: Simulator) -> KalshiFetcher:
    keys = simulator.credentials()
    signer = Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem)
    return KalshiFetcher(client, base_url=simulator.kalshi_url, signer=signer)


@pytest.mark.parametrize("generation", ["strings", "both", "cents"])
async def test_the_recorded_fills(client, recorded: Book, generation):
    async with Simulator(recorded, step_interval=None, generation=generation) as simulator:
        fills = await fills_of(fetcher_of(client, simulator).history)
    assert len(fills) == 100
    assert fills[0] == Fill(
        "66889ff9-82d0-587c-96eb-c02488096d91",
        "b217cad6-cea8-58c2-82cf-b8bd7b596ba2",
        "KXHIGHCHI-26FEB24-T40",
        "yes",
        Decimal(1),
        Decimal("0.01"),
        Decimal(0),
        is_taker=False,
        at=1771988117495,
    )


async def test_fills_and_settlements_add_up_to_the_positions(client, simulator: Simulator):
    simulator.step(2000)
    fetcher = fetcher_of(client, simulator)
    fills, settlements = await fills_of(fetcher.history), await settlements_of(fetcher.history)
    held: dict[str, Decimal] = {}
    for fill in fills:
        held[fill.ticker] = held.get(fill.ticker, Decimal(0)) + fill.position_change
    for paid in settlements:
        held[paid.ticker] = held.get(paid.ticker, Decimal(0)) - paid.yes_count + paid.no_count
    positions = (await fetcher.fetch()).value.positions
    assert {ticker: q for ticker, q in held.items() if q} == {p.ticker: p.quantity for p in positions if p.is_open}
    assert settlements


async def test_cash_is_deposits_and_trades_and_pay_outs(client, simulator: Simulator):
    simulator.step(500)
    fetcher = fetcher_of(client, simulator)
    transfers = (*await fetcher.history.deposits(), *await fetcher.history.withdrawals())
    net = sum(
        (t.amount if t.kind == "deposit" else -t.amount) - (t.fee if t.kind == "withdrawal" else 0)
        for t in transfers
        if t.is_applied
    )
    assert {t.kind for t in transfers} == {"deposit", "withdrawal"}
    assert net == simulator.truth().kalshi.net_deposits


async def test_only_what_is_newer_is_asked_for(client, simulator: Simulator):
    fetcher = fetcher_of(client, simulator)
    fills, settlements = await fills_of(fetcher.history), await settlements_of(fetcher.history)
    since = fills[5].at
    newer = await fills_of(fetcher.history, since=since)
    assert newer == [fill for fill in fills if fill.at // 1000 >= since // 1000]
    assert 0 < len(newer) < len(fills)
    assert await settlements_of(fetcher.history, since=settlements[0].at + 1000) == []


def test_a_fill_of_the_older_generation_is_the_same_fill():
    new = read_fill(FILL, "x")
    assert new == Fill(
        "f-1",
        "o-1",
        "M-1",
        "yes",
        Decimal("2.50"),
        Decimal("0.41"),
        Decimal("0.07"),
        is_taker=True,
        at=1771988117495,
    )
    assert (new.price, new.position_change) == (Decimal("0.41"), Decimal("2.50"))
    assert read_fill({**FILL, "fill_id": None}, "x").fill_id == "t-1"
    fixed = {**FILL, "yes_price_dollars": None, "yes_price_fixed": "0.4100", "outcome_side": None}
    assert read_fill({**fixed, "side": "yes", "action": "buy"}, "x") == new
    cents = {**FILL, "yes_price_dollars": None, "yes_price": 41, "count": 3, "count_fp": None}
    assert read_fill(cents, "x").count == 3
    assert read_fill(cents, "x").yes_price == Decimal("0.41")


@pytest.mark.parametrize(
    ("side", "action", "gained"),
    [("yes", "buy", "yes"), ("yes", "sell", "no"), ("no", "buy", "no"), ("no", "sell", "yes")],
)
def test_what_side_and_action_amount_to(side, action, gained):
    fill = read_fill({**FILL, "outcome_side": None, "side": side, "action": action}, "x")
    assert fill.side == gained
    assert fill.position_change == (fill.count if gained == "yes" else -fill.count)
    assert fill.price == (Decimal("0.41") if gained == "yes" else Decimal("0.59"))


def test_a_side_without_an_action_that_means_anything_is_refused():
    with pytest.raises(InvalidResponse, match="action is neither buy nor sell: 'hold'"):
        read_fill({**FILL, "outcome_side": None, "side": "yes", "action": "hold"}, "x")


def test_a_fill_without_its_exact_time_has_it_to_the_second():
    assert read_fill({**FILL, "created_time": None}, "x").at == 1771988117000


def test_a_fill_without_any_time_has_that_of_its_neighbour_and_is_marked():
    def timeless(name: str) -> dict[str, Any]:
        return {**FILL, "fill_id": name, "created_time": None, "ts": None}

    rows = [timeless("a"), FILL, timeless("b"), timeless("c"), {**FILL, "fill_id": "d", "ts_ms": 1771988100123}]
    rows[4]["created_time"] = None
    fills = read_fills([(row, "x") for row in rows], subaccount=3, read_at=7)
    at = 1771988117495
    assert [(fill.at, fill.time_estimated) for fill in fills] == [
        (at, True),
        (at, False),
        (at, True),
        (at, True),
        (1771988100123, False),
    ]
    assert {fill.subaccount for fill in fills} == {3}
    (alone,) = read_fills([(timeless("a"), "x")], subaccount=0, read_at=7)
    assert (alone.at, alone.time_estimated) == (7, True)


def test_a_settlement():
    assert read_settlement(SETTLEMENT, "x") == Settlement(
        "M-1",
        "scalar",
        Decimal(3),
        Decimal("1.23"),
        Decimal(0),
        Decimal(0),
        Decimal("0.75"),
        Decimal("0.25"),
        Decimal("0.01"),
        1772020800000,
    )
    assert read_settlement({**SETTLEMENT, "value": None}, "x").value is None


def transfers(*rows: dict[str, Any]) -> tuple[Transfer, ...]:
    return read_transfers(((row, f"deposits[{index}]") for index, row in enumerate(rows)), "deposit")


def test_a_transfer():
    assert transfers(TRANSFER) == (
        Transfer("deposit", "t-1", Decimal("123.45"), Decimal("0.05"), "applied", None, 1771988117000),
    )
    assert transfers({**TRANSFER, "fee_cents": None})[0].fee == 0


def test_a_transfer_keeps_its_key_from_beginning_to_end():
    begun = {**TRANSFER, "id": None, "created_ts": 1771980000, "finalized_ts": None, "status": "pending"}
    (pending,) = transfers(begun)
    (done,) = transfers({**begun, "finalized_ts": 1771988117, "status": "applied"})
    assert pending.key == done.key
    assert (pending.is_applied, done.is_applied) == (False, True)


def test_transfers_without_an_id_are_distinguished_and_have_stable_keys():
    nameless = {**TRANSFER, "id": None}
    other = {**nameless, "amount_cents": 7}
    found = transfers(nameless, nameless, other)
    assert len({transfer.key for transfer in found}) == 3
    assert {transfer.key for transfer in transfers(other, nameless, nameless)} == {transfer.key for transfer in found}
    assert {transfer.key for transfer in transfers(nameless)} < {transfer.key for transfer in found}


def test_a_fact_counts_once_and_contradictions_are_refused():
    fill = read_fill(FILL, "x")
    assert unique([fill, fill]) == (fill,)
    other = read_fill({**FILL, "count_fp": "9.00"}, "x")
    with pytest.raises(InvalidResponse, match="'f-1' comes twice"):
        unique([fill, other])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fill_id", 7),
        ("order_id", None),
        ("ticker", ""),
        ("outcome_side", "maybe"),
        ("outcome_side", None),
        ("count_fp", "0.00"),
        ("count_fp", "-1.00"),
        ("count_fp", "NaN"),
        ("count_fp", None),
        ("yes_price_dollars", "1.0100"),
        ("yes_price_dollars", 0.4),
        ("yes_price_dollars", None),
        ("fee_cost", None),
        ("fee_cost", 7),
        ("is_taker", "no"),
        ("is_taker", None),
        ("created_time", "just now"),
        ("created_time", "2026-02-25T02:55:17"),
    ],
)
def test_a_bad_fill_names_the_field(field, value):
    with pytest.raises(InvalidResponse, match=rf"fills\[3\]\.{field}"):
        read_fill({**FILL, field: value}, "Kalshi /portfolio/fills: fills[3]")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("market_result", None),
        ("revenue", "75"),
        ("revenue", None),
        ("value", Decimal("2.5")),
        ("yes_total_cost_dollars", None),
        ("no_count_fp", []),
        ("settled_time", None),
    ],
)
def test_a_bad_settlement_names_the_field(field, value):
    with pytest.raises(InvalidResponse, match=rf"\]\.{field}"):
        read_settlement({**SETTLEMENT, field: value}, "settlements[0]")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount_cents", None),
        ("amount_cents", -1),
        ("amount_cents", "12"),
        ("fee_cents", True),
        ("status", None),
        ("finalized_ts", "yesterday"),
        ("id", 7),
    ],
)
def test_a_bad_transfer_names_the_field(field, value):
    with pytest.raises(InvalidResponse, match=rf"deposits\[0\]\.{field}"):
        transfers({**TRANSFER, field: value})
