"""The HTTP call that every fetcher makes, against a server that misbehaves in every known way."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.errors import (
    FetchError,
    InvalidResponse,
    UpstreamAuthError,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from pnl_backend.sources.base import Upstream, UpstreamClient, describe_problem
from pnl_backend.sources.json_text import parse_json

UPSTREAM = Upstream("Acme", "ACME_URL", "ACME_KEY")
SECRET = "k-5cf1f0b7c2aa4f0e"

Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
def get(serve: Serve, client: UpstreamClient):
    """Ask a server that answers so."""

    async def ask(answer, client: UpstreamClient = client):
        url = await serve(answer)
        return await client.get_json(UPSTREAM, f"{url}/x", params=[("secret", SECRET)], headers={"x-api-key": SECRET})

    return ask


def answering(body: bytes | str, *, status: int = 200, headers: dict[str, str] | None = None):
    async def answer(_: web.Request) -> web.Response:
        data = body.encode() if isinstance(body, str) else body
        return web.Response(body=data, status=status, headers={"Content-Type": "application/json", **(headers or {})})

    return answer


async def test_fractions_are_decimals_to_the_digit(get):
    assert await get(answering('{"a": 0.1, "b": 7, "c": 1e-3, "d": "x"}')) == {
        "a": Decimal("0.1"),
        "b": 7,
        "c": Decimal("0.001"),
        "d": "x",
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    st.booleans(),
)
def test_json_is_read_as_the_standard_library_reads_it(value, escaped):
    text = json.dumps(value, ensure_ascii=escaped)
    assert parse_json(text) == json.loads(text, parse_float=Decimal)


def test_a_lone_surrogate_is_taken():
    assert parse_json(r'{"title": "\ud800"}') == {"title": "\ud800"}


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "Infinity"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b"", "nothing"),
        (b"{", "not JSON"),
        (b'{"a": "\xff\xfe"}', "not text"),
        (b"[" * 200_000, "nested too deeply"),
        (b"1" * 5000, "not JSON"),
        (b"  <!doctype html><title>Sign in</title>", "web page"),
    ],
)
async def test_what_is_not_json_is_refused_with_its_cause(get, body, cause):
    with pytest.raises(InvalidResponse, match=cause) as caught:
        await get(answering(body))
    assert "Acme" in str(caught.value)


async def test_html_is_refused_whatever_it_contains(get):
    with pytest.raises(InvalidResponse, match="web page") as caught:
        await get(answering("{}", headers={"Content-Type": "text/html; charset=utf-8"}))
    assert "ACME_URL" in describe_problem(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(get, status):
    asked = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    with pytest.raises(InvalidResponse, match=f"redirect \\({status}\\)"):
        await get(redirect)
    assert asked == ["/x"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FetchError),
        (401, UpstreamAuthError),
        (403, UpstreamAuthError),
        (404, UpstreamNotFound),
        (429, UpstreamRateLimited),
        (500, FetchError),
        (503, FetchError),
        (529, UpstreamRateLimited),
    ],
)
async def test_each_status_is_its_kind_of_error(get, status, kind):
    with pytest.raises(FetchError, match=str(status)) as caught:
        await get(answering("<h1>no</h1>", status=status))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0.5", 0.5), ("-3", 0), ("soon", None), ("nan", None), ("inf", None), ("", None)],
)
async def test_retry_after_in_seconds(get, header, seconds):
    with pytest.raises(UpstreamRateLimited) as caught:
        await get(answering("{}", status=429, headers={"Retry-After": header}))
    assert caught.value.retry_after == seconds


async def test_retry_after_as_a_date(get):
    at = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(FetchError) as caught:
        await get(answering("{}", status=503, headers={"Retry-After": format_datetime(at, usegmt=True)}))
    assert caught.value.retry_after == pytest.approx(3600, abs=60)


async def test_a_missing_retry_after_is_none(get):
    with pytest.raises(UpstreamRateLimited) as caught:
        await get(answering("{}", status=429))
    assert caught.value.retry_after is None


@pytest.mark.parametrize("zipped", [False, True])
async def test_a_body_over_the_cap_is_refused_after_decompression(get, zipped):
    body = b'{"a": "' + b"x" * 60_000_000 + b'"}'
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    with pytest.raises(InvalidResponse, match="more than 8 MB"):
        await get(answering(gzip.compress(body, 1) if zipped else body, headers=headers))


async def test_a_body_just_under_the_cap_is_read(get):
    text = "x" * (8 * 1024 * 1024 - 10)
    assert await get(answering(f'{{"a":"{text}"}}')) == {"a": text}


async def test_a_hanging_answer_ends_at_the_deadline(get, session: aiohttp.ClientSession):
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(UpstreamTimeout, match=r"Acme did not answer within 0\.2 s"):
        await get(hang, UpstreamClient(session, timeout=0.2))


async def test_a_very_slow_answer_ends_at_the_same_deadline(get, session: aiohttp.ClientSession):
    async def drip(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.01)

    with pytest.raises(UpstreamTimeout):
        await get(drip, UpstreamClient(session, timeout=0.3))


async def test_a_broken_off_answer(get):
    async def cut(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b'{"a": 1')
        assert request.transport is not None
        request.transport.abort()
        return answer

    with pytest.raises(FetchError, match=r"broke off|connection failed"):
        await get(cut)


async def test_damaged_compression(get):
    with pytest.raises(FetchError, match="Acme"):
        await get(answering(b"this is no gzip", headers={"Content-Encoding": "gzip"}))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://no-such-host.invalid/x", "ftp://127.0.0.1/x", "not a url"]
)
async def test_an_unreachable_address_is_reported_without_its_name(client: UpstreamClient, url: str):
    with pytest.raises(FetchError, match="Acme cannot be reached") as caught:
        await client.get_json(UPSTREAM, f"{url}?secret={SECRET}", headers={"x-api-key": SECRET})
    assert "127.0.0.1" not in str(caught.value)
    assert "invalid" not in str(caught.value).replace("invalid URL", "")
    assert "ACME_URL" in describe_problem(caught.value)


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1:1/x", {"x-api-key": f"{SECRET}\nHost: elsewhere"}),
        ("http://user:word@127.0.0.1:1/x", {"Authorization": f"Bearer {SECRET}"}),
        (f"http://{'a' * 70}.example/x", {}),
    ],
)
async def test_what_cannot_even_be_sent_is_a_failed_fetch_without_the_secret(client: UpstreamClient, url, headers):
    with pytest.raises(FetchError, match="Acme cannot be reached") as caught:
        await client.get_json(UPSTREAM, url, headers=headers)
    assert SECRET not in str(caught.value)
    assert "word" not in str(caught.value)


async def test_no_error_holds_a_secret(get, client: UpstreamClient):
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"error": request.headers["x-api-key"], "url": str(request.url)}, status=403)

    with pytest.raises(UpstreamAuthError) as caught:
        await get(echo)
    assert SECRET not in describe_problem(caught.value)
    assert SECRET not in repr(caught.value)
