"""What an engine is built with: timings, limits, and how it finds the client behind a proxy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

AllowOrigin = Callable[[str, str | None], Mapping[str, str] | None]
"""Takes an origin and, for a preflight, the names of the headers that it asks for (else None); answers with the headers
that let a page of that origin read the answer, or None where no page of it may ask.
"""

ResolveClient = Callable[[str, bool, str, str], tuple[str, bool]]
"""Takes the address of a connection's peer, whether that connection is TLS, and the request's `X-Forwarded-For` and
`X-Forwarded-Proto` (repeated headers joined by commas); answers the client's address and whether its connection is TLS.
"""


def direct_client(remote: str, secure: bool, forwarded_for: str, forwarded_proto: str) -> tuple[str, bool]:  # noqa: ARG001 - no proxy is believed
    """Without a proxy: the peer is the client."""
    return remote, secure


def own_origin_only(origin: str, asked: str | None) -> None:
    """Without a rule: no other origin may ask."""


def no_proxy(remote: str) -> bool:  # noqa: ARG001 - no proxy is believed
    """Without a proxy: no peer is one."""
    return False


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Times in seconds, sizes in bytes; 0 switches a cap off."""

    path: str = "/socket.io/"
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    connect_timeout: float = 5.0
    upgrade_timeout: float = 10.0
    head_timeout: float = 10.0
    """From accept to a complete request head, TLS handshake included; for a further request from its first byte."""
    body_timeout: float = 10.0
    max_head_size: int = 16 * 1024
    max_http_buffer_size: int = 16 * 1024
    cors_allowed_origins: AllowOrigin = own_origin_only
    """Which other origins may ask; the server's own origin is always accepted."""
    resolve_client: ResolveClient = direct_client
    """How the client behind a proxy is found; by default every peer is a client."""
    is_proxy: Callable[[str], bool] = no_proxy
    """Whether a peer is a proxy that is believed: its connections are those of many clients."""
    group_address: Callable[[str], str] = str
    """The group of addresses that share the caps per address, for IPv6 a network."""
    max_connections: int = 20_000
    max_connections_per_ip: int = 500
    max_unfinished: int = 2_000
    """Connections without a complete request head; beyond it the oldest of them is closed."""
    max_unfinished_per_ip: int = 500
    max_unauthenticated: int = 5_000
    """Sessions without a CONNECT; a quarter of the descriptors at most."""
    max_unauthenticated_per_ip: int = 400
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
