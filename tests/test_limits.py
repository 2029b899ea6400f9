"""Limits and defaults that two parts must agree on, where neither may import the other."""

import json

from pnl_backend.engine import EngineConfig, closes, refusals
from pnl_backend.settings.model import Settings
from pnl_backend.stream.limits import BAD_MESSAGES, KEY_TIMEOUT
from pnl_backend.wire.asyncapi import asyncapi

CONFIG = EngineConfig()
SIZE = f"{CONFIG.max_http_buffer_size // 1024} KiB"


def test_settings_and_the_engine_have_the_same_defaults() -> None:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    for name in ("ping_interval", "ping_timeout", "connect_timeout", "slow_client_timeout"):
        assert defaults[f"{name}_ms"] == getattr(CONFIG, name) * 1000, name
    for name in ("max_connections", "max_connections_per_ip"):
        assert defaults[name] == getattr(CONFIG, name), name


def test_a_plain_websocket_has_as_long_for_its_key_as_a_socketio_client_for_its_connect() -> None:
    assert CONFIG.connect_timeout == KEY_TIMEOUT


def test_advice_names_the_limits_in_force() -> None:
    assert SIZE in closes.TOO_BIG.advice
    assert SIZE in refusals.TOO_BIG.advice
    assert f"{CONFIG.max_head_size // 1024} KiB" in refusals.HEAD_TOO_BIG.advice


def test_the_description_of_the_feeds_names_the_limits_and_closes_in_force() -> None:
    text = json.dumps(asyncapi(version="1", sources=[]))
    assert f"the first message within {KEY_TIMEOUT:g} s; else close {closes.MISSING_KEY.code}" in text
    assert f"A message is {SIZE} at most" in text
    assert f"every {CONFIG.ping_interval:g} s and closes with {closes.PING_TIMEOUT.code}" in text
    assert f"refused with close {closes.WRONG_KEY.code}" in text
    assert {3: "three"}[BAD_MESSAGES] + f" of them close with {closes.TOO_MANY_BAD_MESSAGES.code}" in text
