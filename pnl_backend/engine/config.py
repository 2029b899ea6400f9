"""What an engine is built with: timings, limits and whom it believes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Origins = Sequence[str] | str | Callable[[str], bool]


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Times in seconds, sizes in bytes; 0 switches a cap off."""

    path: str = "/socket.io/"
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    connect_timeout: float = 5.0
    upgrade_timeout: float = 10.0
    max_http_buffer_size: int = 16 * 1024
    cors_allowed_origins: Origins = ()
    """`"*"`, a list of origins, or a predicate; the server's own origin is always accepted."""
    trusted_proxies: Sequence[str] = ()
    """Addresses or networks whose `X-Forwarded-*` headers are believed."""
    max_connections: int = 20_000
    max_connections_per_ip: int = 500
    max_unauthenticated: int = 5_000
    max_connections_per_key: int | Mapping[str, int] = field(default=0)
    slow_client_timeout: float = 10.0
    max_queue_bytes: int = 1024 * 1024
    max_queue_events: int = 256
    max_attachments: int = 10
    max_json_depth: int = 32
    max_pending_handlers: int = 64
    """Event handlers of one client that may run at once; beyond it reading from that client pauses."""
    refusal: str = "Invalid or missing API key"
    """The `connect_error` message when `authenticate` says no."""
