"""`pnl-backend check`: the effective settings, then every part tried for real, in plain words."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import aiohttp

from pnl_backend.adapters import Unconfigured, plain_words
from pnl_backend.cache.redis import RedisTier
from pnl_backend.config import Settings
from pnl_backend.config_text import describe
from pnl_backend.domain.readings import AnthropicSpend, ClosedCosts, CostRow, KalshiPortfolio, Revenue
from pnl_backend.errors import FetchError, StoreError
from pnl_backend.fetchers.base import UpstreamClient
from pnl_backend.sources import CALLS_PER_FETCH, Credentials, build_fetchers
from pnl_backend.store import Store

Verdict = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was tried and what came of it; a `problem` keeps the server from doing its job, a `note` does not."""

    part: str
    verdict: Verdict
    words: str


class _Forgetful:
    """Closed days for a try-out: asks only for today, remembers nothing."""

    async def load(self) -> ClosedCosts:
        return ClosedCosts(frozenset(), ())

    async def save(self, day_from: date, day_to: date, rows: Sequence[CostRow]) -> None:
        del day_from, day_to, rows


async def check(settings: Settings) -> AsyncIterator[Finding]:
    """Try each part in turn; a finding is given as soon as it is known."""
    yield await _database(settings)
    yield await _redis(settings)
    if settings.demo_mode:
        yield Finding("upstreams", "ok", "DEMO: the built-in simulator plays all three")
        return
    async with _fetchers(settings) as fetchers:
        findings = [
            await _upstream("kalshi", fetchers.kalshi, settings),
            await _upstream("anthropic", fetchers.anthropic, settings),
            await _upstream("johns_revenue", fetchers.johns, settings),
        ]
    for finding in findings:
        yield finding
    if not any(finding.verdict == "ok" for finding in findings):
        yield Finding("upstreams", "problem", "none of the three answers: there would be no figure to show")


async def report(settings: Settings) -> int:
    """Print settings and findings; 1 if the server could not do its job, else 0."""
    print("Settings")
    for name, value in describe(settings):
        print(f"  {name:<36}{value}")
    print("\nParts")
    failed = False
    async for finding in check(settings):
        failed |= finding.verdict == "problem"
        print(f"  {finding.verdict:<9}{finding.part:<15}{finding.words}", flush=True)
    print("\nThe server could not do its job." if failed else "\nThe server can do its job.")
    return int(failed)


async def _database(settings: Settings) -> Finding:
    path = settings.database
    try:
        store = await Store.open(path, origin="demo" if settings.demo_mode else "live")
    except StoreError as error:
        if "in use" in str(error):
            return Finding("database", "note", f"{path} is in use by a server that runs now")
        return Finding("database", "problem", str(error))
    try:
        await store.probe()
    except StoreError as error:
        return Finding("database", "problem", str(error))
    finally:
        await store.close()
    words = f"{path} can be written: epoch {store.epoch}, {store.last_seq} snapshots, SQLite {sqlite3.sqlite_version}"
    return Finding("database", "ok", words)


async def _redis(settings: Settings) -> Finding:
    if not settings.redis:
        return Finding("redis", "ok", "not configured; the server runs without")
    tier = RedisTier(url=settings.redis, prefix="pnl:check:")
    await tier.open()
    try:
        if tier.status == "connected":
            return Finding("redis", "ok", "connected")
        return Finding("redis", "note", "does not answer: the server runs without it and takes it up when it returns")
    finally:
        await tier.close()


@asynccontextmanager
async def _fetchers(settings: Settings) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession() as session:
        client = UpstreamClient(session, timeout=settings.fetch_timeout_ms / 1000)
        today = datetime.now(UTC).date()
        yield build_fetchers(Credentials.of(settings), client, since=today, closed_days=_Forgetful())


async def _upstream(name: str, fetcher: Any, settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(CALLS_PER_FETCH * settings.fetch_timeout_ms / 1000):
            fetched = await fetcher.fetch()
    except TimeoutError:
        return Finding(name, "note", "did not answer in time; the server asks again by itself")
    except FetchError as error:
        lasting = not error.retryable and not (isinstance(fetcher, Unconfigured) and not fetcher.refused)
        return Finding(name, "problem" if lasting else "note", plain_words(error))
    return Finding(name, "ok", _told(fetched.value))


def _told(value: KalshiPortfolio | AnthropicSpend | Revenue) -> str:
    if isinstance(value, KalshiPortfolio):
        held = sum(position.is_open for position in value.positions)
        return f"answers: balance ${value.balance:,.2f}, {held} open of {len(value.positions)} positions"
    if isinstance(value, AnthropicSpend):
        kind = "an estimate, the key may not read the newest report: " if value.estimated else ""
        return f"answers: {kind}${value.daily_spend:,.2f} today"
    return f"answers: invoiced ${value.invoiced:,.2f}, collected ${value.collected:,.2f}"
