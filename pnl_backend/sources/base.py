"""What every fetcher is and is given, and the one HTTP call that all of them make."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol, TypeVar

import aiohttp

from pnl_backend.domain.readings import ClosedCosts, Confirmed, CostRow, Fetched
from pnl_backend.errors import (
    FetchError,
    InvalidResponse,
    UpstreamAuthError,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from pnl_backend.sources.body import MAX_BODY, BodyTooLarge, read_text
from pnl_backend.sources.headers import http_date, retry_after
from pnl_backend.sources.json_text import cause_of, json_or_none, parse_json

_BEGIN = re.compile(r"\s*(\S)")
Value_co = TypeVar("Value_co", covariant=True)


class Fetcher(Protocol[Value_co]):
    """One upstream. `fetch` reads it once and raises FetchError when the answer is not valid."""

    async def fetch(self) -> Fetched[Value_co]: ...


class ClosedDays(Protocol):
    """Remembers the cost of days that are over."""

    async def load(self) -> ClosedCosts: ...

    async def save(
        self, day_from: date, day_to: date, rows: Sequence[CostRow], confirmed: Confirmed | None = None
    ) -> None:
        """Close every day from `day_from` to `day_to`, both included, with exactly these rows.

        What differs in a day that was closed before is kept as a correction.
        """


class NoClosedDays:
    """Closed days that are not stored, so that each fetch requests all."""

    async def load(self) -> ClosedCosts:
        return ClosedCosts(frozenset(), ())

    async def save(
        self, day_from: date, day_to: date, rows: Sequence[CostRow], confirmed: Confirmed | None = None
    ) -> None:
        del day_from, day_to, rows, confirmed


@dataclass(frozen=True, slots=True)
class Upstream:
    """How messages call an upstream, and which settings hold its address and its key."""

    name: str
    url_setting: str
    key_setting: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer other than 2xx: its status, its body (JSON, or None) and the upstream's time."""

    status: int
    body: Any
    retry_after: float | None
    date: datetime | None


Explain = Callable[[Refusal], FetchError | None]
OnHeaders = Callable[[Mapping[str, str]], None]


class UpstreamClient:
    """GET for JSON with all the distrust an upstream deserves; `timeout` (s) covers a whole call."""

    def __init__(self, session: aiohttp.ClientSession, *, timeout: float, max_body: int = MAX_BODY) -> None:
        self._session, self._timeout, self._max_body = session, timeout, max_body

    async def get_json(
        self,
        upstream: Upstream,
        url: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        explain: Explain | None = None,
        on_headers: OnHeaders | None = None,
    ) -> Any:
        """The answer's JSON, every fraction a Decimal; raises FetchError.

        Messages name the upstream and the cause, never an address or a header. `explain` turns a refusal into a
        better error than the status alone allows. `on_headers` is called with the headers of a good answer.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._ask(upstream, url, params, headers or {}, explain, on_headers=on_headers)
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"{upstream.name} did not answer within {self._timeout:g} s",
                hint=f"Check that {upstream.url_setting} is right and reachable from this machine.",
            ) from error
        except (aiohttp.ClientError, ValueError) as error:
            # aiohttp raises ValueError for headers and host names that cannot be sent.
            raise _unreachable(upstream, error) from error

    async def _ask(
        self,
        upstream: Upstream,
        url: str,
        params: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        explain: Explain | None,
        *,
        on_headers: OnHeaders | None,
    ) -> Any:
        async with self._session.get(
            url,
            params=list(params),
            headers={"Accept": "application/json", **headers},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as response:
            text = await self._text(upstream, response)
            if 200 <= response.status < 300:
                if on_headers is not None:
                    on_headers(response.headers)
                return _json(upstream, response, text)
            refusal = Refusal(
                status=response.status,
                body=json_or_none(text),
                retry_after=retry_after(response.headers.get("Retry-After")),
                date=http_date(response.headers.get("Date")),
            )
            error = (explain and explain(refusal)) or refused(upstream, refusal)
            raise _redacted(error, headers)

    async def _text(self, upstream: Upstream, response: aiohttp.ClientResponse) -> str | None:
        try:
            return await read_text(response.content.iter_any(), self._max_body)
        except BodyTooLarge as error:
            raise InvalidResponse(
                f"{upstream.name} sent more than {self._max_body / 1024 / 1024:g} MB for one answer"
            ) from error


def refused(upstream: Upstream, refusal: Refusal, reason: str | None = None, hint: str | None = None) -> FetchError:
    """The error for an answer other than 2xx; `reason` is the upstream's own text."""
    status = refusal.status
    message = f"{upstream.name} answered {status}" + (f": {reason}" if reason else "")
    if 300 <= status < 400:
        return InvalidResponse(
            f"{upstream.name} answered with a redirect ({status}), which is not followed",
            hint=f"Put the final address into {upstream.url_setting}.",
        )
    if status in {401, 403}:
        return UpstreamAuthError(message, hint=hint or f"Check {upstream.key_setting}.")
    if status in {429, 529}:
        return UpstreamRateLimited(message, retry_after=refusal.retry_after, hint=hint)
    if status == 404:
        hint = hint or f"Check {upstream.url_setting}: there is nothing at that address."
        return UpstreamNotFound(message, retry_after=refusal.retry_after, hint=hint)
    return FetchError(message, retry_after=refusal.retry_after, hint=hint)


def describe_problem(error: BaseException) -> str:
    """What went wrong and what to do about it, in plain words for a person at a terminal."""
    said = str(error) or type(error).__name__
    hint = getattr(error, "hint", None)
    return f"{said}. {hint}" if hint else said


def quoted(text: object, limit: int = 200) -> str | None:
    """An upstream's own words made safe for a log line: one line, printable, cut; None for anything else."""
    if not isinstance(text, str) or not text.strip():
        return None
    line = "".join(char if char.isprintable() else " " for char in text.strip())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _json(upstream: Upstream, response: aiohttp.ClientResponse, text: str | None) -> Any:
    html = response.content_type in {"text/html", "application/xhtml+xml"}
    begin = None if text is None else _BEGIN.match(text)
    if html or (begin is not None and begin[1] == "<"):
        raise InvalidResponse(
            f"{upstream.name} answered with a web page instead of JSON",
            hint=f"Check {upstream.url_setting}: a proxy, a login page or a wrong address answers there.",
        )
    if text is None:
        raise InvalidResponse(f"{upstream.name} answered with something that is not JSON: it is not text")
    if begin is None:
        raise InvalidResponse(f"{upstream.name} answered with nothing")
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise InvalidResponse(f"{upstream.name} answered with something that is not JSON: {cause_of(error)}") from error


def _unreachable(upstream: Upstream, error: Exception) -> FetchError:
    """aiohttp's own messages carry the address, so the cause is put into words here."""
    hint = f"Check {upstream.url_setting} and this machine's network."
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        cause = "its name cannot be resolved"
    elif isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        cause = "its TLS certificate cannot be verified"
    elif isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        cause = os.strerror(number).lower() if number else "no connection"
    elif isinstance(error, aiohttp.ServerDisconnectedError):
        cause = "it closed the connection without an answer"
    elif isinstance(error, aiohttp.ClientPayloadError):
        cause = "it broke off in the middle of its answer"
    elif isinstance(error, aiohttp.InvalidURL):
        cause = "its address is not a valid URL"
    else:
        cause = f"the connection failed ({type(error).__name__})"
    return FetchError(f"{upstream.name} cannot be reached: {cause}", hint=hint)


def _redacted(error: FetchError, headers: Mapping[str, str]) -> FetchError:
    """An upstream may quote what it was sent; our own headers never get into a message that way."""
    message = str(error)
    for value in headers.values():
        secret = value.rpartition(" ")[2]
        if len(secret) >= 8:
            message = message.replace(secret, "***")
    error.args = (message,)
    return error
