"""The rate limit and whose requests it counts: by key and address, behind proxies that are trusted or not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.access.ratelimit import WINDOW, RateLimiter
from tests.http.support import ADMIN, READ, exchange

CURRENT = "/api/pnl/current"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_client_gets_a_hundred_answers_and_then_429_until_the_window_ends(serve):
    clock = Clock()
    http = await serve(rate_limit_per_minute=100, monotonic=clock)
    for i in range(100):
        async with http.get(CURRENT, headers=READ) as answer:
            assert answer.status == 200
            assert answer.headers["RateLimit-Limit"] == "100"
            assert answer.headers["RateLimit-Remaining"] == str(99 - i)
            assert answer.headers["RateLimit-Reset"] == "60"
    clock.now += 30.5
    async with http.get(CURRENT, headers=READ) as answer:
        assert answer.status == 429
        body = await answer.json()
        wait = int(answer.headers["Retry-After"])
        assert body["error"]["message"] == "Too many requests"
        assert body["error"]["retryAfter"] == wait == 30
        assert body["success"] is False
        assert answer.headers["RateLimit-Remaining"] == "0"
    async with http.get(CURRENT, headers=ADMIN) as answer:
        assert answer.status == 200  # another key is another client
    async with http.get("/health") as answer:
        assert answer.status == 200
        assert "RateLimit-Limit" not in answer.headers
    clock.now += wait
    async with http.get(CURRENT, headers=READ) as answer:
        assert answer.status == 200


async def test_guessing_keys_is_limited_by_address(serve):
    http = await serve(rate_limit_per_minute=5)
    statuses = []
    for i in range(8):
        async with http.get(CURRENT, headers={"X-API-Key": f"guess-{i}"}) as answer:
            statuses.append(answer.status)
    assert statuses == [403] * 5 + [429] * 3
    async with http.get(CURRENT, headers=READ) as answer:
        assert answer.status == 200


async def test_unknown_paths_count_too(serve):
    http = await serve(rate_limit_per_minute=2)
    statuses = []
    for _ in range(3):
        async with http.get("/nothing") as answer:
            statuses.append(answer.status)
    assert statuses == [404, 404, 429]


async def test_zero_switches_the_limit_off(serve):
    http = await serve(rate_limit_per_minute=0)
    for _ in range(150):
        async with http.get(CURRENT, headers=READ) as answer:
            assert answer.status == 200
            assert "RateLimit-Limit" not in answer.headers


async def remaining(http, forwarded: str | None) -> int:
    headers = READ if forwarded is None else {**READ, "X-Forwarded-For": forwarded}
    async with http.get(CURRENT, headers=headers) as answer:
        return int(answer.headers["RateLimit-Remaining"])


async def test_a_forwarded_address_is_used_only_from_a_trusted_proxy(serve):
    http = await serve(rate_limit_per_minute=10)
    assert await remaining(http, None) == 9
    assert await remaining(http, "203.0.113.7") == 8
    assert await remaining(http, "203.0.113.8, 127.0.0.1") == 7


async def test_behind_a_trusted_proxy_the_rightmost_untrusted_hop_is_the_client(serve):
    http = await serve(rate_limit_per_minute=10, trusted_proxies=("127.0.0.1", "10.0.0.0/8"))
    assert await remaining(http, "203.0.113.7") == 9
    assert await remaining(http, "198.51.100.1, 203.0.113.7") == 8  # what a client claims stands further left
    assert await remaining(http, "203.0.113.7, 10.1.2.3") == 7
    assert await remaining(http, "garbage, 203.0.113.7:4711") == 6
    assert await remaining(http, "203.0.113.7, garbage") == 9  # unreadable: the proxy itself is all we know
    assert await remaining(http, None) == 8
    assert await remaining(http, "2001:db8::1") == 9
    assert await remaining(http, "[2001:db8::2]:443") == 8  # the same /64
    assert await remaining(http, "::ffff:203.0.113.7") == 5


async def test_loopback_metrics_are_for_this_machine_alone(serve):
    http = await serve(metrics_access="loopback")
    async with http.get("/metrics") as answer:
        assert answer.status == 200
    async with http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"}) as answer:
        assert answer.status == 403
    http = await serve(metrics_access="loopback", trusted_proxies=("127.0.0.1",))
    async with http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"}) as answer:
        assert answer.status == 403
    async with http.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}) as answer:
        assert answer.status == 200


async def test_pipelined_requests_are_counted_one_by_one(serve):
    head = f"GET {CURRENT} HTTP/1.1\r\nHost: x\r\nX-API-Key: {READ['X-API-Key']}\r\n"
    http = await serve(rate_limit_per_minute=3)
    answer = await exchange(http.port, (head + "\r\n").encode() * 4 + (head + "Connection: close\r\n\r\n").encode())
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert answer.count(b"HTTP/1.1 429 ") == 2


@given(
    limit=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 90), st.integers(1, 30)), min_size=1, max_size=30),
)
def test_no_minute_admits_more_or_less_than_the_limit_and_retry_after_is_enough(limit, steps):
    clock = Clock()
    limiter = RateLimiter(limit, clock=clock)
    times: list[float] = []
    for pause, tries in steps:
        clock.now += pause
        for _ in range(tries):
            held = sum(clock.now - at < WINDOW for at in times)
            verdict = limiter.take(b"k", "192.0.2.1")
            assert verdict.admitted == (held < limit)
            if verdict.admitted:
                times.append(clock.now)
                assert verdict.remaining == limit - held - 1
            else:
                clock.now += verdict.retry_after


def test_memory_is_bounded_and_the_client_idle_for_longest_is_dropped():
    limiter = RateLimiter(2, clients=3)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert limiter.take(b"", address).remaining == 1
    assert limiter.take(b"", "192.0.2.1").remaining == 0
    assert limiter.take(b"", "192.0.2.4").remaining == 1  # in place of 192.0.2.2
    assert len(limiter) == 3
    assert limiter.take(b"", "192.0.2.3").remaining == 0
    assert limiter.take(b"", "192.0.2.2").remaining == 1  # in place of 192.0.2.4


def test_a_refused_client_is_never_dropped_and_new_ones_share_a_budget():
    clock = Clock()
    limiter = RateLimiter(2, clients=100, clock=clock)
    full = [f"192.0.2.{i}" for i in range(100)]
    for address in full * 2:
        assert limiter.take(b"", address).admitted
    others = [f"198.51.{i // 250}.{i % 250}" for i in range(5000)]
    assert sum(limiter.take(b"", address).admitted for address in others) == 2
    assert len(limiter) == 100
    assert not any(limiter.take(b"", address).admitted for address in full)
    clock.now += WINDOW
    assert all(limiter.take(b"", address).admitted for address in [*others[:100], *full[:100]])
    assert len(limiter) == 100


def test_addresses_without_a_key_displace_none_with_one():
    limiter = RateLimiter(2, clients=10)
    assert limiter.take(b"key", "192.0.2.1").remaining == 1
    for i in range(1000):
        limiter.take(b"", f"198.51.{i // 250}.{i % 250}")
    assert limiter.take(b"key", "192.0.2.1").remaining == 0
    assert limiter.take(b"key", "192.0.2.2").remaining == 1
    assert len(limiter) == 12


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        RateLimiter(0)
