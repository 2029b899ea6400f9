"""Wrong keys have one limit for each client address, on any transport; a valid key is always accepted."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import socketio
from loguru import logger

from pnl_backend.access.keys import Keys
from pnl_backend.access.refusals import Forbidden, Unauthorized
from pnl_backend.access.wrongkeys import LOG_INTERVAL, WRONG_KEYS_PER_MINUTE, Authenticator, TooManyWrongKeys
from tests.support.server import FAST, ServerProcess
from tests.waiting import PATIENCE, until

KEY = "read-key-of-this-test"
Outcome = tuple[str, int | None]
"""What became of an attempt, and after how many seconds to try again where that is said."""
Attempt = Callable[[aiohttp.ClientSession, str, str], Awaitable[Outcome]]


@pytest.fixture
async def server(tmp_path):
    process = ServerProcess(tmp_path, **FAST, DEMO="true", API_KEY=KEY, TRUSTED_PROXIES="127.0.0.1")
    await process.start()
    yield process
    await process.close()
    assert "Traceback" not in process.log
    assert "guess" not in process.log


@pytest.fixture
async def http(server):
    async with aiohttp.ClientSession(server.url, timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
        yield session


async def by_rest(http: aiohttp.ClientSession, key: str, address: str) -> Outcome:
    headers = {"X-API-Key": key, "X-Forwarded-For": address}
    async with http.get("/api/pnl/current", headers=headers) as answer:
        return _http(answer)


async def by_events(http: aiohttp.ClientSession, key: str, address: str) -> Outcome:
    async with http.get("/api/pnl/stream", params={"apiKey": key}, headers={"X-Forwarded-For": address}) as answer:
        return _http(answer)


async def by_query(http: aiohttp.ClientSession, key: str, address: str) -> Outcome:
    try:
        async with http.ws_connect("/ws", params={"apiKey": key}, headers={"X-Forwarded-For": address}) as socket:
            return await _closed(socket)
    except aiohttp.WSServerHandshakeError as error:
        retry = (error.headers or {}).get("Retry-After")
        return ("limited" if error.status == 429 else str(error.status)), int(retry) if retry else None


async def by_message(http: aiohttp.ClientSession, key: str, address: str) -> Outcome:
    async with http.ws_connect("/pnl-stream", headers={"X-Forwarded-For": address}) as socket:
        await socket.send_json({"type": "auth", "apiKey": key})
        return await _closed(socket)


async def by_socketio(http: aiohttp.ClientSession, key: str, address: str, transport: str) -> Outcome:
    client = socketio.AsyncClient(reconnection=False)
    refusals: list[Any] = []
    client.on("connect_error", refusals.append)
    try:
        await client.connect(
            str(http._base_url), transports=[transport], auth={"apiKey": key}, headers={"X-Forwarded-For": address}
        )
    except socketio.exceptions.ConnectionError:
        refusal = refusals[0]
        if refusal["message"] == "Invalid or missing API key":
            return "refused", None
        assert refusal["message"] == "Too many wrong API keys"
        assert refusal["data"]["status"] == 429
        return "limited", refusal["data"]["retryAfter"]
    else:
        return "open", None
    finally:
        await client.disconnect()


async def by_socketio_websocket(http: aiohttp.ClientSession, key: str, address: str) -> Outcome:
    return await by_socketio(http, key, address, "websocket")


async def by_socketio_polling(http: aiohttp.ClientSession, key: str, address: str) -> Outcome:
    return await by_socketio(http, key, address, "polling")


TRANSPORTS: list[Attempt] = [by_rest, by_events, by_query, by_message, by_socketio_websocket, by_socketio_polling]
WITHOUT_RETRY = (by_message,)
"""A close frame has no place for a number."""


@pytest.mark.parametrize("attempt", TRANSPORTS)
async def test_wrong_keys_are_refused_then_limited_and_a_right_one_passes(server, http, attempt):
    address = "203.0.113.7"
    for i in range(WRONG_KEYS_PER_MINUTE):
        assert await attempt(http, f"guess-{i}", address) == ("refused", None)
    for i in range(3):
        outcome, retry = await attempt(http, f"guess-more-{i}", address)
        assert outcome == "limited"
        assert attempt in WITHOUT_RETRY or 0 < retry <= 60
    assert (await attempt(http, KEY, address))[0] == "open"
    assert await attempt(http, "guess", "203.0.113.8") == ("refused", None)
    assert await wrong_keys(http) == {"refused": WRONG_KEYS_PER_MINUTE + 1, "limited": 3}
    await server.until("/api/health", lambda a: a["connectedClients"] == 0)
    await until(lambda: "Wrong API key from 203.0.113.8" in server.log)
    assert server.log.count("Wrong API key from 203.0.113.7") == 1
    assert server.log.count("Wrong API key") == 2


async def test_all_transports_share_the_limit_and_a_network_of_ipv6_is_one_address(server, http):
    attempts = [TRANSPORTS[i % len(TRANSPORTS)] for i in range(WRONG_KEYS_PER_MINUTE)]
    for i, attempt in enumerate(attempts):
        assert await attempt(http, f"guess-{i}", f"[2001:db8:0:1::{i:x}]:443") == ("refused", None)
    for i, attempt in enumerate(TRANSPORTS):
        assert (await attempt(http, f"guess-{i}", f"2001:db8:0:1:ffff::{i:x}"))[0] == "limited"
        assert (await attempt(http, KEY, "2001:db8:0:1::1"))[0] == "open"
    assert await by_rest(http, "guess", "2001:db8:0:2::1") == ("refused", None)
    await until(lambda: "Wrong API key from 2001:db8:0:2::1" in server.log)
    assert server.log.count("Wrong API key") == 2


async def test_the_answer_names_what_is_wrong(http):
    for _ in range(WRONG_KEYS_PER_MINUTE):
        await by_rest(http, "guess", "203.0.113.7")
    headers = {"Authorization": "Bearer guess", "X-Forwarded-For": "203.0.113.7"}
    async with http.get("/api/pnl/current", headers=headers) as answer:
        body = await answer.json()
        assert answer.status == 429
        assert body["success"] is False
        assert body["error"]["message"] == "Too many wrong API keys"
        assert body["error"]["code"] == "too_many_wrong_keys"
        assert body["error"]["retryAfter"] == int(answer.headers["Retry-After"])


async def test_no_key_at_all_is_no_wrong_key(http):
    headers = {"X-Forwarded-For": "203.0.113.7"}
    for _ in range(WRONG_KEYS_PER_MINUTE + 5):
        async with http.get("/api/pnl/current", headers=headers) as answer:
            assert answer.status == 401
    assert await by_rest(http, "guess", "203.0.113.7") == ("refused", None)


async def test_one_session_cannot_continue_to_guess_keys(http):
    """Every CONNECT of a session counts, and beyond the limit the session ends."""
    url = "/socket.io/?EIO=4&transport=websocket"
    async with http.ws_connect(url, headers={"X-Forwarded-For": "203.0.113.7"}) as socket:
        for i in range(WRONG_KEYS_PER_MINUTE + 1):
            await socket.send_str(f'40{{"apiKey":"guess-{i}"}}')
        packets = [str(message.data) async for message in socket]
    answers = [json.loads(packet[2:])["message"] for packet in packets if packet.startswith("44")]
    assert answers == ["Invalid or missing API key"] * WRONG_KEYS_PER_MINUTE + ["Too many wrong API keys"]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines():
    logged: list[str] = []
    sink = logger.add(logged.append, format="{message}")
    yield logged
    logger.remove(sink)


def test_a_minute_later_a_wrong_key_is_only_wrong_again_and_an_address_is_logged_once_an_hour(lines):
    clock, counted = Clock(), []
    checked = Authenticator(Keys(read=[KEY], admin=["admin"]), on_wrong=counted.append, clock=clock)
    for minute in range(3):
        clock.now = 1000.0 + 60 * minute
        for _ in range(WRONG_KEYS_PER_MINUTE):
            with pytest.raises(Forbidden):
                checked.check("guess", "203.0.113.7")
        with pytest.raises(TooManyWrongKeys) as refused:
            checked.check("guess", "203.0.113.7")
        assert refused.value.retry_after == 60
    assert counted == (["refused"] * WRONG_KEYS_PER_MINUTE + ["limited"]) * 3
    assert lines == ["Wrong API key from 203.0.113.7; further ones from there are only counted\n"]
    clock.now += LOG_INTERVAL
    with pytest.raises(Forbidden):
        checked.check("guess", "203.0.113.7")
    assert len(lines) == 2
    counted.clear()
    for key, error in ((KEY, Forbidden), (None, Unauthorized)):  # neither is a wrong key
        with pytest.raises(error):
            checked.check(key, "203.0.113.7", scope="admin")
    assert counted == []


def test_a_guess_at_the_admin_key_of_an_open_server_counts():
    checked = Authenticator(Keys(admin=["admin"], open_read=True))
    assert checked.check("anything", "203.0.113.7").scopes == {"read"}
    for _ in range(WRONG_KEYS_PER_MINUTE):
        with pytest.raises(Forbidden, match="Admin API key required"):
            checked.check("guess", "203.0.113.7", scope="admin")
    with pytest.raises(TooManyWrongKeys):
        checked.check("guess", "203.0.113.7", scope="admin")
    assert checked.check("admin", "203.0.113.7", scope="admin").scopes == {"read", "admin"}


def _http(answer: aiohttp.ClientResponse) -> Outcome:
    retry = answer.headers.get("Retry-After")
    return {200: "open", 403: "refused", 429: "limited"}[answer.status], int(retry) if retry else None


async def _closed(socket: aiohttp.ClientWebSocketResponse) -> Outcome:
    """`open` when a message comes, else what the close frame says."""
    async with asyncio.timeout(PATIENCE):
        first = await socket.receive()
    if first.type is aiohttp.WSMsgType.TEXT:
        return "open", None
    assert socket.close_code == 4401
    return {"Invalid API key": "refused", "Too many wrong API keys": "limited"}[first.extra], None


async def wrong_keys(http: aiohttp.ClientSession) -> dict[str, int]:
    async with http.get("/metrics", headers={"X-API-Key": KEY}) as answer:
        lines = [line for line in (await answer.text()).splitlines() if line.startswith("pnl_wrong_keys_total{")]
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in lines}
