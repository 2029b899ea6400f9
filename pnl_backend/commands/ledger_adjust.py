"""`pnl-backend ledger adjust`: books cash that no deposit and no trade explains, such as interest."""

from __future__ import annotations

import argparse
import time
from decimal import Decimal, InvalidOperation
from typing import get_args

from pnl_backend.assembly.ledger_start import location_of
from pnl_backend.commands.common import Subparsers, instant, load_settings, run_async
from pnl_backend.domain.classic import KALSHI
from pnl_backend.domain.ledger_facts import Adjustment, AdjustmentKind
from pnl_backend.domain.money import decimal_text
from pnl_backend.domain.times import iso
from pnl_backend.ledger.sql.identity import Origin
from pnl_backend.settings.model import Settings
from pnl_backend.wire.refusals import BadRequest

ACCOUNTS = (KALSHI,)
"""The accounts whose equity is reconciled."""

MOST = Decimal(10) ** 12
LONGEST_REASON = 500


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "adjust",
        help="book cash that no deposit and no trade explains: it counts in the reconciliation, not in the P&L",
        description="An adjustment is never deleted: a wrong one is reversed by another one of the opposite amount.",
    )
    parser.add_argument("account", nargs="?", metavar="ACCOUNT", help=f"the account: {', '.join(ACCOUNTS)}")
    parser.add_argument("amount", nargs="?", metavar="AMOUNT", help="USD; below 0 for what left the account")
    parser.add_argument("--reason", metavar="TEXT", help="what it was, for later readers of the books")
    parser.add_argument("--kind", choices=get_args(AdjustmentKind), default="other", help="what kind it is of (other)")
    parser.add_argument("--at", metavar="TIME", help="when it happened: ISO 8601 or ms; now without it")
    parser.add_argument("--list", action="store_true", help="print all adjustments, also while the server runs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Book an adjustment and print it, or print all of them."""
    if arguments.list:
        if arguments.account is not None or arguments.reason is not None:
            raise BadRequest("--list prints all adjustments; it takes no account, amount or reason")
        settings = load_settings(arguments)
        return run_async(_list(settings))
    now = int(time.time() * 1000)
    booked = Adjustment(
        account=_account(arguments.account),
        amount=_amount(arguments.amount),
        kind=arguments.kind,
        reason=_reason(arguments.reason),
        at=now if arguments.at is None else instant(arguments.at),
        noted_at=now,
    )
    if booked.at > now:
        raise BadRequest("--at is in the future")
    return run_async(_book(load_settings(arguments), booked))


async def _book(settings: Settings, booked: Adjustment) -> int:
    origin: Origin = "demo" if settings.demo_mode else "live"
    store = await location_of(settings).open_existing(origin=origin, timezone=settings.business_timezone)
    try:
        number = await store.facts.adjustments.add(booked)
    finally:
        await store.close()
    print(f"booked as {number}: {_line(booked)}")
    return 0


async def _list(settings: Settings) -> int:
    for one in await location_of(settings).adjustments():
        print(f"{one.id}: {_line(one)}")
    return 0


def _line(one: Adjustment) -> str:
    return f"{iso(one.at)} {one.account} {one.kind} {decimal_text(one.amount)} USD: {one.reason}"


def _account(given: str | None) -> str:
    if given not in ACCOUNTS:
        raise BadRequest(f"the account must be given: {' or '.join(ACCOUNTS)}" + (f", not {given!r}" if given else ""))
    return given


def _amount(given: str | None) -> Decimal:
    try:
        amount = Decimal(given or "")
    except InvalidOperation:
        raise BadRequest("the amount must be given in USD, as 12.34 or -5") from None
    if not amount.is_finite() or amount == 0 or abs(amount) > MOST or int(amount.as_tuple().exponent) < -6:
        raise BadRequest(f"{given} is no amount: not 0, at most {MOST:,} USD, six decimals at most")
    return amount


def _reason(given: str | None) -> str:
    reason = " ".join((given or "").split())
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise BadRequest(f"--reason is needed: 1 to {LONGEST_REASON} characters, for later readers of the books")
    return reason
