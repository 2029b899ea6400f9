"""The host that the ledger notes for a Kalshi account."""

import pytest

from pnl_backend.sources.kalshi.settings import REST, KalshiSettings


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (REST, "external-api.kalshi.com"),
        ("https://api.elections.kalshi.com/trade-api/v2", "external-api.kalshi.com"),
        ("https://External-API.kalshi.com:443/trade-api/v2", "external-api.kalshi.com"),
        ("https://external-api.demo.kalshi.co/trade-api/v2", "external-api.demo.kalshi.co"),
        ("http://127.0.0.1:8080/trade-api/v2", "127.0.0.1:8080"),
    ],
)
def test_both_names_of_production_are_one_host_and_the_demo_is_another(url, host):
    assert KalshiSettings(kalshi_api_url=url).kalshi_host == host
