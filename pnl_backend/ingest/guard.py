"""Wraps a fetcher: single flight, deadline, backoff, circuit breaker, and the last good reading after a failure."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from pnl_backend.domain.readings import Fetched, Reading, SourceName, Tier, Value
from pnl_backend.errors import AccountChanged, FetchError, UpstreamRateLimited, UpstreamTimeout
from pnl_backend.ingest.account_check import AccountCheck
from pnl_backend.ingest.breaker import Breaker, BreakerState
from pnl_backend.ingest.last_good import LastGood, ReadingCache
from pnl_backend.ingest.outage_log import OutageLog
from pnl_backend.sources.base import Fetcher
from pnl_backend.sources.codec import Codec

# Seconds. A tick that comes slightly early still counts as one poll interval later.
_RETRY = 5.0
_LONGEST_BACKOFF = 60.0
_LONGEST_RETRY_AFTER = 300.0
_EARLY = 0.1


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """The state of a breaker for clients; times in ms since the epoch, `next_attempt_time` only while open."""

    state: BreakerState
    failure_count: int
    last_failure_time: int | None
    last_success_time: int | None
    next_attempt_time: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one fetch: its duration, and the error if it failed."""

    source: SourceName
    seconds: float
    error: FetchError | None


@dataclass(frozen=True, slots=True)
class _Held(Generic[Value]):
    """The last value, with its time by the wall clock (ms) and by the monotonic clock (s)."""

    fetched: Fetched[Value]
    fetched_at: int
    learned: float


@dataclass(slots=True)
class _Past:
    """When the last fetch failed and when one succeeded (ms), and how many in a row were refused for their rate."""

    failure: int | None = None
    success: int | None = None
    rate_limited: int = 0


class Guard(Generic[Value]):
    """Reads one source; `read` never raises. All durations are in seconds.

    `source` is its name, `service` what its circuit breaker and log lines are called.
    `poll_interval` is the least time between two fetches, `timeout` the deadline of a whole fetch. `clock` is for
    timestamps only; the breaker, expiry and retries use `monotonic`. `account` refuses values of another account than
    the ledger's; without it every account is accepted.
    """

    def __init__(
        self,
        fetcher: Fetcher[Value],
        cache: ReadingCache,
        *,
        source: SourceName,
        service: str,
        codec: Codec[Value],
        poll_interval: float,
        timeout: float,
        failure_threshold: int = 5,
        reset_timeout: float = 60.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        on_outcome: Callable[[Outcome], None] | None = None,
        account: AccountCheck | None = None,
    ) -> None:
        self.source = source
        self.service = service
        self._fetcher: Fetcher[Value] = fetcher
        self._poll_interval = poll_interval
        self._timeout = timeout
        self._clock = clock
        self._monotonic = monotonic
        self._on_outcome = on_outcome
        self._breaker = Breaker(
            self.service, failure_threshold=failure_threshold, reset_timeout=reset_timeout, monotonic=monotonic
        )
        self._held: _Held[Value] | None = None
        self._error: FetchError | None = None
        self._task: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._closed = False
        self._next_attempt = monotonic()
        self._past = _Past()
        self._log = OutageLog(self.service)
        self._account = account
        self._last_good: LastGood[Value] = LastGood(
            cache, source, codec, self._log, is_ours=None if account is None else account.is_ours
        )

    async def read(self, patience: float | None = None) -> Reading[Value]:
        """The present reading, after waiting at most `patience` for a fetch that is due or in progress.

        Concurrent callers share one fetch, and none of them can cancel it. Never raises because of an upstream or
        the cache.
        """
        if self._task is None and not self._closed and self._wait() <= 0:
            self._task = asyncio.create_task(self._attempt(), name=f"fetch-{self.service}")
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=patience)
        return await self._reading()

    def status(self) -> BreakerStatus:
        """The breaker as clients see it."""
        state = self._breaker.state
        return BreakerStatus(
            state=state,
            failure_count=self._breaker.failure_count,
            last_failure_time=self._past.failure,
            last_success_time=self._past.success,
            next_attempt_time=int((self._clock() + self._wait()) * 1000) if state == "OPEN" else None,
        )

    @property
    def account_changed(self) -> bool:
        """Whether the upstream answers for another account than the ledger's."""
        return isinstance(self._error, AccountChanged)

    def reset(self) -> None:
        """Close the breaker and let the next read fetch at once."""
        self._breaker.reset()
        self._past.rate_limited = 0
        self._next_attempt = self._monotonic()

    async def close(self) -> None:
        """Cancel the fetch in progress and finish the save in progress; later reads return the last value."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        pending = {task for task in (self._task, self._saving) if task is not None}
        await asyncio.gather(*pending, return_exceptions=True)

    def _wait(self) -> float:
        """Seconds until the next fetch is allowed: by the poll interval or backoff, and by the breaker."""
        return max(self._next_attempt - self._monotonic(), self._breaker.wait, 0.0)

    async def _attempt(self) -> None:
        """One fetch, with the deadline inside the breaker."""
        begun = self._monotonic()
        try:
            with self._breaker.calling():
                async with asyncio.timeout(self._timeout):
                    fetched = await self._fetch()
            if isinstance(fetched, AccountChanged):
                raise fetched
        except Exception as error:
            self._failed(begun, self._as_fetch_error(error))
        else:
            self._succeeded(begun, fetched)
        finally:
            self._task = None

    async def _fetch(self) -> Fetched[Value] | AccountChanged:
        """What the upstream gives for the ledger's account; another account is no failure of the upstream."""
        try:
            if self._account is None:
                return await self._fetcher.fetch()
            await self._account.check_host()
            return await self._account.accept(await self._fetcher.fetch())
        except AccountChanged as error:
            return error

    def _succeeded(self, begun: float, fetched: Fetched[Value]) -> None:
        self._error = None
        self._past.rate_limited = 0
        self._past.success = self._now()
        self._held = _Held(fetched, self._past.success, self._monotonic())
        self._next_attempt = begun + _after(self._poll_interval)
        self._log.succeeded()
        self._saving = asyncio.create_task(
            self._last_good.save(fetched, after=self._saving), name=f"save-{self.service}"
        )
        self._report(begun, None)

    def _failed(self, begun: float, error: FetchError) -> None:
        self._error = error
        self._past.failure = self._now()
        self._next_attempt = self._next_after(begun, error)
        self._log.failed(error)
        if self._breaker.state == "OPEN":
            self._log.opened(self._breaker.reset_timeout)
        self._report(begun, error)

    def _next_after(self, begun: float, error: FetchError) -> float:
        """When to try again after a failure: at the upstream's Retry-After, by backoff, or soon."""
        now = self._monotonic()
        if isinstance(error, UpstreamRateLimited):
            self._past.rate_limited += 1
        if error.retry_after is not None:
            return now + min(error.retry_after, _LONGEST_RETRY_AFTER)
        if isinstance(error, UpstreamRateLimited):
            pause = min(self._poll_interval, _RETRY) * 2.0 ** min(self._past.rate_limited, 16)
            return now + min(pause, _LONGEST_BACKOFF) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
        return begun + _after(min(self._poll_interval, _RETRY))

    def _as_fetch_error(self, error: Exception) -> FetchError:
        if isinstance(error, FetchError):
            return error
        if isinstance(error, TimeoutError):
            return UpstreamTimeout(f"{self.service}: the fetch took longer than {self._timeout:g} s")
        self._log.crashed(error)
        return FetchError(f"{self.service}: the fetch failed ({type(error).__name__})")

    async def _reading(self) -> Reading[Value]:
        held = self._held
        if (
            held is not None
            and self._error is None
            and self._monotonic() - held.learned <= self._poll_interval + self._timeout
        ):
            return self._of(held.fetched, held.fetched_at, "live")
        return await self._not_live(self._reason())

    def _reason(self) -> str:
        """Why the reading is not live; the text is the same as long as the reason is."""
        if self._error is None:
            return f"{self.service}: no answer yet" if self._held is None else f"{self.service}: waiting for an answer"
        return f"{self._error} (circuit breaker open)" if self._breaker.state != "CLOSED" else str(self._error)

    async def _not_live(self, reason: str) -> Reading[Value]:
        """The newer value of the cache's and this guard's; without either, a reading without a value."""
        changed = self.account_changed  # as of the reason, whatever happens while the cache is read
        cached = await self._last_good.load()
        held = self._held
        if held is not None:
            tier: Tier = "fallback"
            if cached is not None and cached[0].as_of >= held.fetched.as_of:
                tier = cached[1]
            return self._of(held.fetched, held.fetched_at, tier, reason, changed)
        if cached is not None:
            return self._of(cached[0], cached[0].as_of, cached[1], reason, changed)
        now = self._now()
        return Reading(self.source, None, now, now, "fallback", reason, changed)

    def _of(
        self, fetched: Fetched[Value], fetched_at: int, tier: Tier, error: str | None = None, changed: bool = False
    ) -> Reading[Value]:
        return Reading(self.source, fetched.value, fetched.as_of, fetched_at, tier, error, changed)

    def _report(self, begun: float, error: FetchError | None) -> None:
        if self._on_outcome is not None:
            self._on_outcome(Outcome(self.source, self._monotonic() - begun, error))

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _after(interval: float) -> float:
    """An interval, less the tolerance by which a tick may come early."""
    return interval - min(_EARLY, interval / 10)
