"""The settings of the Kalshi account."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from pnl_backend.sources.account import host_of
from pnl_backend.sources.kalshi.subaccounts import read_subaccounts
from pnl_backend.sources.setting import (
    HttpUrl,
    Millis,
    SourceSettings,
    names_of,
    pem_file,
    poll_setting,
    setting,
    url_of,
)

REST = "https://external-api.kalshi.com/trade-api/v2"
WEBSOCKET = "wss://external-api-ws.kalshi.com/trade-api/ws/v2"
OTHER_NAMES = {"api.elections.kalshi.com": "external-api.kalshi.com"}
"""Second names of hosts, with the names that the ledger has for them."""

ENDED_HOST = "api.kalshi.com"
"""The host of Kalshi's first API, which the Node server used."""


def subaccounts(value: str) -> str:
    """A text that names subaccounts."""
    read_subaccounts(value)
    return value


class KalshiSettings(SourceSettings):
    kalshi_api_url: HttpUrl = setting(REST, "base URL of Kalshi's REST API", allowed="an http or https URL")
    kalshi_ws_url: Annotated[str, url_of("ws", "wss")] = setting(
        WEBSOCKET, "URL of Kalshi's WebSocket", allowed="a ws or wss URL"
    )
    kalshi_api_key: str | None = setting(
        None,
        "id of a Kalshi API key; one with the read scope is enough",
        allowed="the key's id",
        also="KALSHI_API_KEY_ID",
        shown_in_part=True,
        validation_alias=names_of("KALSHI_API_KEY", "KALSHI_API_KEY_ID"),
    )
    kalshi_private_key_path: Annotated[Path, AfterValidator(pem_file)] | None = setting(
        None, "the key's private half: a PEM file, RSA or Ed25519", allowed="a PEM file that can be read"
    )
    kalshi_private_key: SecretStr | None = setting(
        None,
        "the same as text; \\n is a line break",
        allowed="PEM text",
        also="KALSHI_API_SECRET",
        validation_alias=names_of("KALSHI_PRIVATE_KEY", "KALSHI_API_SECRET"),
    )
    kalshi_subaccounts: Annotated[str, AfterValidator(subaccounts)] = setting(
        "0", "the subaccounts that count; 0 is the primary one", allowed="numbers from 0 to 63 with commas, or all"
    )
    kalshi_poll_ms: Millis = poll_setting(5000, "Kalshi")

    @property
    def kalshi_host(self) -> str:
        """The host that the account is at, by one name."""
        host = host_of(self.kalshi_api_url)
        return OTHER_NAMES.get(host, host)

    @property
    def kalshi_pem(self) -> str | None:
        """The private key's text, from the setting or from its file."""
        if self.kalshi_private_key is not None:
            return self.kalshi_private_key.get_secret_value().replace("\\n", "\n")
        return self.kalshi_private_key_path.read_text("utf-8") if self.kalshi_private_key_path else None

    def notices(self) -> list[str]:
        if urlsplit(self.kalshi_api_url).hostname != ENDED_HOST:
            return []
        return [f"KALSHI_API_URL: {ENDED_HOST} no longer answers; remove the setting to use {REST}"]
