"""What reading an upstream's answer costs in memory: at most twice the cap, whatever the upstream sends."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import aiohttp
import pytest
from aiohttp import web

from pnl_backend.errors import InvalidResponse
from pnl_backend.sources.base import Upstream, UpstreamClient
from pnl_backend.sources.body import MAX_BODY

UPSTREAM = Upstream("Acme", "ACME_URL", "ACME_KEY")
PIECE = 32 * 1024


def sending(body: bytes, *, encoding: str | None = None):
    """Answers with a body in small pieces, so that the server itself holds nothing of it twice."""
    sent = gzip.compress(body, 1) if encoding == "gzip" else body

    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "application/json", **({"Content-Encoding": encoding} if encoding else {})}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for start in range(0, len(sent), PIECE):
            await response.write(sent[start : start + PIECE])
        return response

    return answer


def padded(value: object, size: int = MAX_BODY) -> bytes:
    """JSON of a value with blanks in front, up to a size: parsed it is small, so only reading costs memory."""
    text = json.dumps(value, ensure_ascii=False).encode()
    return b" " * (size - len(text)) + text


BODIES = {
    "ascii": padded({"a": 1}),
    "a wide character at the end": padded({"a": "\N{MONEY-MOUTH FACE}"}),
    "a wide character at the start": padded(["\N{MONEY-MOUTH FACE}"], 100) + b" " * (MAX_BODY - 100),
    "an array of digits": b"[" + b"7" * 4000 + b" " * (MAX_BODY - 4002) + b"]",
}


async def peak(client: UpstreamClient, url: str) -> tuple[object, int]:
    """What `get_json` answers or raises, and the most memory (bytes) that was held meanwhile."""
    await client.get_json(UPSTREAM, f"{url}/small")  # connections and caches are not the body's cost
    tracemalloc.start()
    try:
        found: object
        try:
            found = await client.get_json(UPSTREAM, f"{url}/x")
        except InvalidResponse as error:
            found = str(error)
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture
def cost(serve, session: aiohttp.ClientSession):
    async def measure(body: bytes, *, encoding: str | None = None) -> tuple[object, int]:
        large, small = sending(body, encoding=encoding), sending(b"{}")

        async def answer(request: web.Request) -> web.StreamResponse:
            return await (small if request.path == "/small" else large)(request)

        url = await serve(answer)
        return await peak(UpstreamClient(session, timeout=60), url)

    return measure


@pytest.mark.parametrize("encoding", [None, "gzip"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_as_large_as_the_cap_costs_at_most_twice_as_much(cost, body, encoding):
    assert len(body) == MAX_BODY
    found, held = await cost(body, encoding=encoding)
    assert found == json.loads(body)
    assert held <= 2 * MAX_BODY


@pytest.mark.parametrize("encoding", [None, "gzip"])
@pytest.mark.parametrize("filling", [b" ", "\N{CYRILLIC SMALL LETTER A}".encode(), "\N{MONEY-MOUTH FACE}".encode()])
async def test_a_body_beyond_the_cap_is_refused_at_the_same_cost(cost, filling, encoding):
    body = b'["' + filling * (8 * MAX_BODY // len(filling)) + b'"]'
    found, held = await cost(body, encoding=encoding)
    assert found == "Acme sent more than 8 MB for one answer"
    assert held <= 2 * MAX_BODY


@pytest.mark.parametrize("character", ["é", "ж", "€", "漢", "\N{MONEY-MOUTH FACE}", "\ufeff", "\u2028"])
async def test_characters_of_every_width_arrive_also_when_split_between_frames(serve, session, character):
    value = {character: [character * 3, f"a{character}b", 0.5]}
    body = json.dumps(value, ensure_ascii=False).encode()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for byte in body:
            await response.write(bytes([byte]))
        return response

    client = UpstreamClient(session, timeout=60)
    assert await client.get_json(UPSTREAM, f"{await serve(drip)}/x") == value


@pytest.mark.parametrize("body", [b'{"a": "\xff"}', b'{"a": "\xf0\x9f', "{}".encode("utf-16")])
async def test_what_is_not_utf_8_is_refused(serve, session, body):
    client = UpstreamClient(session, timeout=60)
    with pytest.raises(InvalidResponse, match="it is not text"):
        await client.get_json(UPSTREAM, f"{await serve(sending(body))}/x")


async def test_a_byte_order_mark_is_skipped(serve, session):
    client = UpstreamClient(session, timeout=60)
    url = await serve(sending(b"\xef\xbb\xbf{}"))
    assert await client.get_json(UPSTREAM, f"{url}/x") == {}
