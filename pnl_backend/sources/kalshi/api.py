"""Kalshi's REST API for its fetcher: signed GETs, checked pages, and errors with a text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from pnl_backend.errors import FetchError, InvalidResponse, UpstreamAuthError
from pnl_backend.sources.base import Refusal, Upstream, UpstreamClient, quoted, refused
from pnl_backend.sources.fields import Object, an_object, objects, optional_text
from pnl_backend.sources.kalshi.signing import Signer

KALSHI = Upstream("Kalshi", "KALSHI_API_URL", "KALSHI_API_KEY and KALSHI_PRIVATE_KEY_PATH")

POSITIONS, HISTORICAL_POSITIONS = "/portfolio/positions", "/historical/positions"
MARKETS, HISTORICAL_MARKETS = "/markets", "/historical/markets"
PAGE_LIMIT = 1000
# Servers commonly refuse a request line over 8 KiB.
_TICKERS_LENGTH = 6000
_TICKERS_COUNT = 1000
# Kalshi accepts 5 s and refuses 30 s; by the Date header's whole seconds, this much is a clock that is wrong.
_DOUBTFUL_SKEW = 20.0

Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its rows, each with its path for messages, and where the next page begins ("": nowhere)."""

    rows: list[tuple[Object, str]]
    cursor: str


class KalshiApi:
    """Signed GETs below `base_url` (which includes `/trade-api/v2`)."""

    def __init__(self, client: UpstreamClient, *, base_url: str, signer: Signer) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._base_path = urlsplit(self._base_url).path
        self._signer = signer

    async def get(self, path: str, params: Params = ()) -> Object:
        """One answer's object."""
        answer = await self._client.get_json(
            KALSHI,
            self._base_url + path,
            params=params,
            headers=self._signer.headers("GET", self._base_path + path),
            explain=self._explain,
        )
        return an_object(answer, where(path))

    async def rows(
        self, path: str, field: str, params: Params = (), *, limit: int | None = PAGE_LIMIT
    ) -> list[tuple[Object, str]]:
        """Every page's rows, each with its path for messages; without `limit` in pages of Kalshi's own size."""
        return [row async for page in self.pages(path, field, params, limit=limit) for row in page.rows]

    async def pages(
        self, path: str, field: str, params: Params = (), *, limit: int | None = PAGE_LIMIT, cursor: str = ""
    ) -> AsyncIterator[Page]:
        """The pages of a list, from `cursor` on; however many there are, the caller's deadline ends it.

        A garbage cursor is answered with 200 and some page, so a cursor that comes twice is an InvalidResponse.
        """
        seen = {cursor}
        while True:
            paging = [(name, str(value)) for name, value in (("limit", limit), ("cursor", cursor)) if value]
            answer = await self.get(path, [*params, *paging])
            rows = objects(answer, field, where(path))
            cursor = optional_text(answer, "cursor", where(path)) or ""
            yield Page([(row, f"{where(path)}{field}[{index}]") for index, row in enumerate(rows)], cursor)
            if not cursor:
                return
            if cursor in seen:
                raise InvalidResponse(f"{where(path)}cursor {quoted(cursor, 40)!r} came twice")
            seen.add(cursor)

    def _explain(self, refusal: Refusal) -> FetchError | None:
        """Kalshi's three error shapes, and what each known code means for a person."""
        code, details, message = _error_parts(refusal.body)
        reason = quoted(": ".join(part for part in (code, details, message) if part))
        if refusal.status == 503:
            return refused(KALSHI, refusal, reason, "Kalshi has maintenance on Thursdays, 03:00 to 05:00 US Eastern.")
        if refusal.status != 401:
            return refused(KALSHI, refusal, reason)
        if "NOT_FOUND" in details:
            return UpstreamAuthError(
                "Kalshi has no key with this id",
                hint="Check KALSHI_API_KEY: it is the key's UUID, and demo and production keys are apart.",
            )
        if "INCORRECT_API_KEY_SIGNATURE" in details:
            return UpstreamAuthError(
                "Kalshi refused the signature",
                hint="The private key does not belong to this key id: check KALSHI_PRIVATE_KEY_PATH.",
            )
        skew = _skew(refusal.date, self._signer.clock())
        if code == "header_timestamp_expired" or (skew is not None and abs(skew) > _DOUBTFUL_SKEW):
            return _skewed(skew)
        return refused(KALSHI, refusal, reason)


def ticker_batches(tickers: Iterable[str]) -> Iterator[str]:
    """Comma-separated tickers, as many to a batch as fit into a request line."""
    batch: list[str] = []
    length = 0
    for ticker in tickers:
        cost = len(quote(ticker, safe="")) + 3
        if batch and (length + cost > _TICKERS_LENGTH or len(batch) == _TICKERS_COUNT):
            yield ",".join(batch)
            batch, length = [], 0
        batch.append(ticker)
        length += cost
    if batch:
        yield ",".join(batch)


def where(path: str) -> str:
    """How messages name an answer's root."""
    return f"Kalshi {path}: "


def _error_parts(body: Any) -> tuple[str, str, str]:
    """Code, details and message of `{"error": {...}}`, `{"code", ...}`, `{"msg"}` and `{"error": "..."}`."""
    if not isinstance(body, dict):
        return "", "", ""
    inner = body.get("error", body)
    if isinstance(inner, str):
        return "", "", inner
    if not isinstance(inner, dict):
        return "", "", ""
    parts = (inner.get("code"), inner.get("details"), inner.get("message") or inner.get("msg"))
    code, details, message = (part if isinstance(part, str) else "" for part in parts)
    return code, details, message


def _skew(theirs: datetime | None, ours: float) -> float | None:
    """Our clock minus theirs in seconds; None where the answer has no time."""
    return None if theirs is None else (datetime.fromtimestamp(ours, UTC) - theirs).total_seconds()


def _skewed(skew: float | None) -> UpstreamAuthError:
    measured = ""
    if skew is not None:
        measured = f": it is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Kalshi's"
    return UpstreamAuthError(
        f"Kalshi refused the request's time, so this machine's clock is wrong (clock skew){measured}",
        hint="Set the clock, best by NTP (timedatectl set-ntp true): Kalshi accepts 5 s of difference.",
    )
