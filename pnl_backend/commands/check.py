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

from pnl_backend.assembly.adapters import Unconfigured, plain_words
from pnl_backend.assembly.guards import CALLS_PER_FETCH, Credentials, build_fetchers
from pnl_backend.cache.redis_client import try_out
from pnl_backend.domain.readings import AnthropicSpend, ClosedCosts, CostRow, KalshiPortfolio, Revenue
from pnl_backend.errors import FetchError, StoreError
from pnl_backend.ledger.sqlite import Store
from pnl_backend.ledger.sqlite.standby import may_pass
from pnl_backend.settings.model import Settings
from pnl_backend.settings.text import describe, mask_urls, notices
from pnl_backend.sources.base import UpstreamClient

Verdict = Literal["ok", "note", "warning", "problem"]

LONGEST_TRY = 30.0
"""Seconds for one upstream at most, so that whoever starts the server after a check is not kept waiting for long."""

_SUMMARY = {
    "ok": "The server can do its job.",
    "warning": "The server can start; what is marked with a warning does not work now.",
    "problem": "The server could not do its job.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was tried and what came of it.

    A `problem` is a wrong setting: it stays until somebody changes it. A `warning` is an outage, which may end by
    itself, or half a source; the server starts all the same. A `note` is worth knowing, no more.
    """

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
    for line in notices(settings):
        yield Finding("settings", "note", line)
    yield await _database(settings)
    yield await _redis(settings)
    if settings.demo_mode:
        yield Finding("upstreams", "ok", "DEMO: the built-in simulator plays all three")
        return
    async with _fetchers(settings) as fetchers:
        findings = await asyncio.gather(
            _upstream("kalshi", fetchers.kalshi, settings),
            _upstream("anthropic", fetchers.anthropic, settings),
            _upstream("johns_revenue", fetchers.johns, settings),
        )
    for finding in findings:
        yield finding
    if not settings.any_source:
        yield Finding("upstreams", "problem", "no source is configured: there would be no figure to show")
    elif not any(finding.verdict == "ok" for finding in findings):
        yield Finding("upstreams", "warning", "none of the three answers: there is no figure to show until one does")


async def report(settings: Settings, *, strict: bool = False) -> int:
    """Print settings and findings; 1 for a problem, with `strict` for a warning too, else 0."""
    print("Settings")
    for name, value in describe(settings):
        print(f"  {name:<36}{value}")
    print("\nParts")
    worst: Verdict = "ok"
    async for finding in check(settings):
        if finding.verdict == "problem" or (finding.verdict == "warning" and worst == "ok"):
            worst = finding.verdict
        print(f"  {finding.verdict:<9}{finding.part:<15}{mask_urls(finding.words)}", flush=True)
    print(f"\n{_SUMMARY[worst]}")
    return int(worst == "problem" or (strict and worst == "warning"))


async def _database(settings: Settings) -> Finding:
    path = settings.database
    try:
        store = await Store.open(path, origin="demo" if settings.demo_mode else "live")
    except StoreError as error:
        if "in use" in str(error):
            return Finding("database", "note", f"{path} is in use by a server that runs now")
        return _unusable(error)
    try:
        await store.probe()
    except StoreError as error:
        return _unusable(error)
    finally:
        await store.close()
    words = f"{path} can be written: epoch {store.epoch}, last number {store.last_seq}, SQLite {sqlite3.sqlite_version}"
    return Finding("database", "ok", words)


def _unusable(error: StoreError) -> Finding:
    """A warning where the server starts all the same: the disk is full or read-only, or a right is missing."""
    if may_pass(error):
        return Finding("database", "warning", f"{error}; the server starts and stores nothing until it can")
    return Finding("database", "problem", str(error))


async def _redis(settings: Settings) -> Finding:
    if not settings.redis:
        return Finding("redis", "ok", "not configured; the server runs without")
    problem = await try_out(settings.redis)
    if problem is None:
        return Finding("redis", "ok", "connected")
    if problem.lasting:
        return Finding("redis", "problem", f"{problem.words}; the server would run without it")
    return Finding("redis", "warning", f"{problem.words}; the server runs without it and takes it up when it returns")


@asynccontextmanager
async def _fetchers(settings: Settings) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession() as session:
        client = UpstreamClient(session, timeout=settings.fetch_timeout_ms / 1000)
        today = datetime.now(UTC).date()
        yield build_fetchers(Credentials.of(settings), client, since=today, closed_days=_Forgetful())


async def _upstream(name: str, fetcher: Any, settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(min(CALLS_PER_FETCH * settings.fetch_timeout_ms / 1000, LONGEST_TRY)):
            fetched = await fetcher.fetch()
    except TimeoutError:
        return Finding(name, "warning", "did not answer in time; the server asks again by itself")
    except FetchError as error:
        return Finding(name, _verdict(fetcher, error), plain_words(error))
    except Exception as error:  # what the settings made of a request may be none: a key with a line break in it
        return Finding(name, "problem", f"cannot be asked with these settings ({type(error).__name__})")
    return Finding(name, "ok", _told(fetched.value))


def _verdict(fetcher: Any, error: FetchError) -> Verdict:
    if isinstance(fetcher, Unconfigured) and not fetcher.refused:
        return "warning" if fetcher.half else "note"
    return "warning" if error.retryable else "problem"


def _told(value: KalshiPortfolio | AnthropicSpend | Revenue) -> str:
    if isinstance(value, KalshiPortfolio):
        held = sum(position.is_open for position in value.positions)
        return f"answers: balance ${value.balance:,.2f}, {held} open of {len(value.positions)} positions"
    if isinstance(value, AnthropicSpend):
        kind = "an estimate, the key may not read the newest report: " if value.estimated else ""
        return f"answers: {kind}${value.daily_spend:,.2f} today"
    return f"answers: invoiced ${value.invoiced:,.2f}, collected ${value.collected:,.2f}"
