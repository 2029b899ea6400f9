"""What an engine is built with: timings, limits, and how it finds the client behind a proxy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Origins = Sequence[str] | str | Callable[[str], bool]


ResolveClient = Callable[[str, bool, str, str], tuple[str, bool]]
"""Takes the address of a connection's peer, whether that connection is TLS, and the request's `X-Forwarded-For` and
`X-Forwarded-Proto` (repeated headers joined by commas); answers the client's address and whether its connection is TLS.
"""


def direct_client(remote: str, secure: bool, forwarded_for: str, forwarded_proto: str) -> tuple[str, bool]:  # noqa: ARG001 - no proxy is believed
    """Without a proxy: the peer is the client."""
    return remote, secure


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
    """`"*"`, a list of origins, or a predicate; the server's own origin is always accepted, `null` never.

    Browsers may use credentials with origins that are listed by name.
    """
    resolve_client: ResolveClient = direct_client
    """How the client behind a proxy is found; by default every peer is a client."""
    group_address: Callable[[str], str] = str
    """The group of addresses that share `max_connections_per_ip`, for IPv6 a network."""
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
