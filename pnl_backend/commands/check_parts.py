"""Tries every part with the real files and upstreams, and gives a finding for each."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import aiohttp

from pnl_backend.assembly.guards import CALLS_PER_FETCH, Source, account_checks, shown_sources
from pnl_backend.assembly.ledger_start import location_of
from pnl_backend.domain.accounts import Account
from pnl_backend.domain.readings import SourceName
from pnl_backend.errors import FetchError, StoreError
from pnl_backend.ingest.account_check import AccountCheck
from pnl_backend.ledger.sql.accounts import KnownAccounts
from pnl_backend.ledger.sqlite import Store
from pnl_backend.ledger.sqlite.standby import may_pass
from pnl_backend.redis_client import try_out
from pnl_backend.settings.model import Settings
from pnl_backend.settings.text import notices
from pnl_backend.sources.base import NoClosedDays, UpstreamClient, describe_problem
from pnl_backend.sources.source_type import Setup, Unconfigured

Status = Literal["ok", "note", "warning", "problem"]

LONGEST_ATTEMPT = 30.0
"""Seconds for one upstream at most, because the server often starts only after a check."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of trying one part.

    A `problem` is a wrong setting: it stays until it is changed. A `warning` is an outage, which may end without a
    change, or a source with a setting missing; the server starts all the same. A `note` is information only.
    """

    part: str
    status: Status
    detail: str


async def check_parts(settings: Settings) -> AsyncIterator[Finding]:
    """Try each part in turn; each finding is yielded as soon as it is known."""
    for line in notices(settings):
        yield Finding("settings", "note", line)
    yield await _database(settings)
    yield await _redis(settings)
    if settings.bus_url is not None:
        yield await _bus(settings.bus_url)
    if settings.demo_mode:
        yield Finding("upstreams", "ok", "DEMO: the built-in simulator replaces every upstream")
        return
    for finding in (findings := await _upstreams(settings)):
        yield finding
    if not settings.any_source:
        yield Finding("upstreams", "problem", "no source is configured: there would be no figure to show")
    elif not any(finding.status == "ok" for finding in findings):
        yield Finding("upstreams", "warning", "no source answers: there is no figure to show until one does")


async def _database(settings: Settings) -> Finding:
    if settings.database_url is not None:
        return await _postgresql(settings.database_url.get_secret_value(), may_read_only=settings.role == "push")
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
    detail = (
        f"{path} can be written: epoch {store.epoch}, last number {store.last_seq}, SQLite {sqlite3.sqlite_version}"
    )
    return Finding("database", "ok", detail)


async def _postgresql(url: str, *, may_read_only: bool) -> Finding:
    """A look that claims nothing: another node may write the ledger now."""
    from pnl_backend.ledger.postgres.problems import may_pass as may_end
    from pnl_backend.ledger.postgres.trial import look

    try:
        seen = await look(url)
    except StoreError as error:
        if may_end(error):
            return Finding("database", "warning", f"{error}; the server starts and stores nothing until it can")
        return Finding("database", "problem", str(error))
    return Finding("database", "ok" if seen.writable or may_read_only else "warning", seen.detail)


def _unusable(error: StoreError) -> Finding:
    """A warning if the server starts all the same: the disk is full or read-only, or a permission is missing."""
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
        return Finding("redis", "problem", f"{problem.detail}; the server would run without it")
    return Finding(
        "redis", "warning", f"{problem.detail}; the server runs without it and uses it when it is available again"
    )


async def _bus(url: str) -> Finding:
    """A node of a cluster starts without its Redis, and waits for it."""
    problem = await try_out(url, setting="BUS_URL")
    if problem is None:
        return Finding("bus", "ok", "connected")
    return Finding("bus", "problem" if problem.lasting else "warning", f"{problem.detail}; the node waits for it")


async def _upstreams(settings: Settings) -> list[Finding]:
    """What each source answers, and whether it answers for the account whose facts the ledger holds."""
    sources = shown_sources(settings)
    async with AsyncExitStack() as stack:
        client = UpstreamClient(
            await stack.enter_async_context(aiohttp.ClientSession()), timeout=settings.fetch_timeout_ms / 1000
        )
        setup = Setup(client, since=datetime.now(UTC).date(), closed_days=NoClosedDays())
        checks: Mapping[str, AccountCheck] = {}
        with suppress(StoreError):  # there is no ledger yet, or none that can be read
            checks = account_checks(
                sources, _Unchanged(await stack.enter_async_context(location_of(settings).accounts()))
            )
        return await asyncio.gather(*(_upstream(one, setup, checks.get(one.name), settings) for one in sources))


class _Unchanged:
    """The accounts of a ledger; nothing is noted in it."""

    def __init__(self, accounts: KnownAccounts) -> None:
        self.account = accounts.account
        self.evidence = accounts.evidence

    async def note_account(self, source: SourceName, account: Account) -> None:
        """Leave the ledger as it is."""


async def _upstream(source: Source, setup: Setup, check: AccountCheck | None, settings: Settings) -> Finding:
    name = source.type.breaker
    fetcher = source.build(setup if check is None else replace(setup, identity=check))
    try:
        async with asyncio.timeout(min(CALLS_PER_FETCH * settings.fetch_timeout_ms / 1000, LONGEST_ATTEMPT)):
            if check is not None and not isinstance(fetcher, Unconfigured):
                await check.check_host()
            fetched = await fetcher.fetch()
    except TimeoutError:
        return Finding(name, "warning", "did not answer in time; the server asks again by itself")
    except FetchError as error:
        return Finding(name, _failure_status(fetcher, error), describe_problem(error))
    except Exception as error:  # the settings can make a request invalid: a key with a line break in it
        return Finding(name, "problem", f"cannot be fetched with these settings ({type(error).__name__})")
    return Finding(name, "ok", f"answers: {source.type.summary(fetched.value)}")


def _failure_status(fetcher: Any, error: FetchError) -> Status:
    if isinstance(fetcher, Unconfigured) and not fetcher.refused:
        return "warning" if fetcher.half else "note"
    return "warning" if error.retryable else "problem"
