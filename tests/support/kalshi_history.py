"""Whole lists of an account's history, as its reader gives them in pages."""

from __future__ import annotations

from typing import Any

from pnl_backend.domain.ledger_facts import FactList, Fill, Settlement
from pnl_backend.sources.kalshi.history import KalshiHistory


async def fills_of(history: KalshiHistory, *, archived: bool = False, since: int | None = None) -> list[Fill]:
    return await _facts(history, FactList("fill", archived=archived), since)


async def settlements_of(history: KalshiHistory, *, since: int | None = None) -> list[Settlement]:
    return await _facts(history, FactList("settlement"), since)


async def _facts(history: KalshiHistory, listed: FactList, since: int | None) -> list[Any]:
    return [fact async for page in history.pages(listed, since=since) for fact in page.facts]
