"""Options of python-socketio's server: one that is not honoured is an error that says so."""

import re

import pytest

from pnl_backend.engine import create_server

NOT_HONOURED = [
    *("client_manager", "logger", "serializer", "json", "async_handlers", "always_connect", "namespaces", "async_mode"),
    *("allow_upgrades", "http_compression", "compression_threshold", "cookie", "cors_credentials", "monitor_clients"),
    *("transports", "engineio_logger"),
]


@pytest.mark.parametrize("name", NOT_HONOURED)
def test_an_option_that_is_not_honoured_is_named(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name}, an option of socketio.AsyncServer, is not honoured"):
        create_server(**{name: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ping_interval", "ping_timeout", "max_http_buffer_size", "cors_allowed_origins"])
def test_an_option_that_is_a_setting_is_refused_with_the_setting_s_name(name: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"create_server(EngineConfig({name}=...))")):
        create_server(**{name: 1})  # type: ignore[arg-type]


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(TypeError, match=r"^pingInterval is not an option"):
        create_server(pingInterval=1)
