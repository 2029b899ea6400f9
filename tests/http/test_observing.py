"""What a metric learns of requests: names from closed sets, whatever clients make up."""

from __future__ import annotations

import pytest

from tests.http.support import READ, exchange


async def test_each_answer_is_observed_under_its_route(serve) -> None:
    seen: list[tuple[str, str, int]] = []

    def observe(method: str, route: str, status: int, seconds: float) -> None:
        assert seconds > 0
        seen.append((method, route, status))

    http = await serve(observe=observe)
    for path, headers in (
        ("/api/pnl/current?period=mtd", READ),
        ("/api/pnl/current", {}),
        ("/made/up/by/a/client", {}),
        ("/api/pnl/history?limit=x", READ),
    ):
        async with http.get(path, headers=headers):
            pass
    assert seen == [
        ("GET", "/api/pnl/current", 200),
        ("GET", "/api/pnl/current", 401),
        ("GET", "other", 404),
        ("GET", "/api/pnl/history", 400),
    ]


@pytest.mark.parametrize("method", ["DELETE", "MADEUP"])
async def test_a_made_up_method_makes_no_series(serve, method: str) -> None:
    seen: list[str] = []
    http = await serve(observe=lambda method, route, status, seconds: seen.append(method))
    await exchange(http.port, f"{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert set(seen) <= {"other"}
