"""The checks and forms that settings share; those that settings of sources need too are in `sources/setting.py`."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode


def comma_list(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


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
    """A path that ends with a file name, because other file names are made from it."""
    if value.name in ("", ".."):
        raise ValueError("not the name of a file")
    return value


def names_loopback(host: str) -> bool:
    """Whether only programs on this machine can connect to this address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


SHORTEST_PRODUCTION_KEY = 32
DOCUMENTED_KEYS = ("your-secret-key", "your-api-key", "your_api_key", "change-me", "changeme", "demo-key")


def weakness_of(key: str) -> str | None:
    """Why production refuses a key; None if it is accepted."""
    if len(key) < SHORTEST_PRODUCTION_KEY:
        return f"given {len(key)} characters, production needs at least {SHORTEST_PRODUCTION_KEY}"
    if any(known in key.lower() for known in DOCUMENTED_KEYS):
        return "given a key from the documentation, create one of your own"
    return None


Origins = Annotated[list[Annotated[str, AfterValidator(_origin)]], NoDecode, BeforeValidator(comma_list)]
Networks = Annotated[list[Annotated[str, AfterValidator(_network)]], NoDecode, BeforeValidator(comma_list)]
ORIGINS = "origins such as https://app.example.com, separated by commas, or *"
