"""What settings are made of: fields with their help, and the checks and forms that several of them share."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field
from pydantic_settings import NoDecode


def setting(default: Any, help_text: str, *, allowed: str, also: str = "", **checks: Any) -> Any:
    """A field with its help, what is allowed in words, and an older or alternative name."""
    return Field(default, description=help_text, json_schema_extra={"allowed": allowed, "also": also}, **checks)


def names_of(name: str, *also: str) -> AliasChoices:
    return AliasChoices(name, *also)


def comma_list(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def url_of(*schemes: str) -> AfterValidator:
    """A URL with a host, or with a path where the scheme is `unix`; `urlsplit` raises ValueError for a bad port."""

    def check(value: str) -> str:
        parts = urlsplit(value)
        place = parts.path if parts.scheme == "unix" else parts.hostname
        if parts.scheme not in schemes or not place or parts.port == 0:
            raise ValueError("not a URL of an allowed scheme")
        return value.rstrip("/")

    return AfterValidator(check)


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if value != "*" and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/")):
        raise ValueError("not an origin")
    return value.rstrip("/").lower()


def _network(value: str) -> str:
    return str(ipaddress.ip_network(value, strict=False))


def zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("not a time zone") from error
    return value


def rules(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


def named_file(value: Path) -> Path:
    """A path that ends in a file's name: others are made from it."""
    if value.name in ("", ".."):
        raise ValueError("not the name of a file")
    return value


def pem_file(value: Path) -> Path:
    """A text file that can be read now; what it holds is judged by whoever builds the key."""
    try:
        value.read_text("utf-8")
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    except ValueError:
        raise ValueError("not text") from None
    return value


def names_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach a server on this address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


SHORTEST_PRODUCTION_KEY = 32
DOCUMENTED_KEYS = ("your-secret-key", "your-api-key", "your_api_key", "change-me", "changeme", "demo-key")


def weakness_of(key: str) -> str | None:
    """Why production refuses a key; None for one that it takes."""
    if len(key) < SHORTEST_PRODUCTION_KEY:
        return f"given {len(key)} characters, production needs at least {SHORTEST_PRODUCTION_KEY}"
    if any(known in key.lower() for known in DOCUMENTED_KEYS):
        return "given a key that stands in the documentation, make one of your own"
    return None


Millis = Annotated[int, Field(ge=1)]
Origins = Annotated[list[Annotated[str, AfterValidator(_origin)]], NoDecode, BeforeValidator(comma_list)]
Networks = Annotated[list[Annotated[str, AfterValidator(_network)]], NoDecode, BeforeValidator(comma_list)]
HttpUrl = Annotated[str, url_of("http", "https")]

MS = "whole milliseconds"
ORIGINS = "origins such as https://app.example.com, separated by commas, or *"

SOURCE_FIELDS = frozenset(
    (
        "kalshi_api_url",
        "kalshi_ws_url",
        "kalshi_api_key",
        "kalshi_private_key_path",
        "kalshi_private_key",
        "anthropic_api_key",
        "anthropic_api_url",
        "johns_revenue_url",
        "john_api_base_url",
        "johns_revenue_token",
    )
)
"""Who sets one of these has an account in mind: the demo does not start by itself."""
