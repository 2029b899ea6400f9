"""Tries every part with the real files and upstreams, and gives a finding for each."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import aiohttp

from pnl_backend.assembly.guards import CALLS_PER_FETCH, Source, shown_sources
from pnl_backend.cache.redis_client import try_out
from pnl_backend.errors import FetchError, StoreError
from pnl_backend.ledger.sqlite import Store
from pnl_backend.ledger.sqlite.standby import may_pass
from pnl_backend.settings.model import Settings
from pnl_backend.settings.text import notices
from pnl_backend.sources.base import Fetcher, NoClosedDays, UpstreamClient, describe_problem
from pnl_backend.sources.source_type import Setup, Unconfigured

Status = Literal["ok", "note", "warning", "problem"]

LONGEST_ATTEMPT = 30.0
"""Seconds for one upstream at most, because the server often starts only after a check."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of trying one part.

    A `problem` is a wrong setting: it stays until it is changed. A `warning` is an outage, which may end by itself, or
    a source with a setting missing; the server starts all the same. A `note` is information only.
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
    if settings.demo_mode:
        yield Finding("upstreams", "ok", "DEMO: the built-in simulator replaces every upstream")
        return
    async with aiohttp.ClientSession() as session:
        client = UpstreamClient(session, timeout=settings.fetch_timeout_ms / 1000)
        setup = Setup(client, since=datetime.now(UTC).date(), closed_days=NoClosedDays())
        findings = await asyncio.gather(
            *(_upstream(source, source.build(setup), settings) for source in shown_sources(settings))
        )
    for finding in findings:
        yield finding
    if not settings.any_source:
        yield Finding("upstreams", "problem", "no source is configured: there would be no figure to show")
    elif not any(finding.status == "ok" for finding in findings):
        yield Finding("upstreams", "warning", "no source answers: there is no figure to show until one does")


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
    detail = (
        f"{path} can be written: epoch {store.epoch}, last number {store.last_seq}, SQLite {sqlite3.sqlite_version}"
    )
    return Finding("database", "ok", detail)


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


async def _upstream(source: Source, fetcher: Fetcher[Any] | Unconfigured, settings: Settings) -> Finding:
    name = source.type.breaker
    try:
        async with asyncio.timeout(min(CALLS_PER_FETCH * settings.fetch_timeout_ms / 1000, LONGEST_ATTEMPT)):
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
