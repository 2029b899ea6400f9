"""Every answer with which the engine refuses a request: its status, its text, and what a client should do then."""

from dataclasses import dataclass

from pnl_backend.engine.limits import RETRY_AFTER


@dataclass(frozen=True, slots=True)
class RefusalKind:
    """One HTTP refusal.

    `code` is Engine.IO's error code in the body for polling clients, `retry_after` (s) the header of that name.
    `retry` says whether the same request may succeed later, `advice` what a client's author should know.
    """

    status: int
    message: str
    retry: bool
    advice: str
    code: int = 3
    retry_after: int | None = None


# Caps.
SHUTTING_DOWN = RefusalKind(503, "The server is shutting down", True, "Try again later.", retry_after=RETRY_AFTER)
SERVER_FULL = RefusalKind(503, "Too many connections", True, "Try again later.", retry_after=RETRY_AFTER)
ADDRESS_FULL = RefusalKind(
    429,
    "Too many connections from this address",
    True,
    "Close connections that are not needed.",
    retry_after=RETRY_AFTER,
)
UNCONNECTED_FULL = RefusalKind(
    503, "Too many connections that have not connected", True, "Try again later.", retry_after=RETRY_AFTER
)
UNCONNECTED_ADDRESS_FULL = RefusalKind(
    429,
    "Too many unconnected connections from this address",
    True,
    "Send CONNECT on each connection that is opened.",
    retry_after=RETRY_AFTER,
)
KEYLESS_FULL = RefusalKind(
    503, "Too many connections without a key", True, "Give the key in the request.", retry_after=RETRY_AFTER
)
NO_CLIENTS = RefusalKind(
    503, "This server takes no clients: its role is poll", False, "Connect to a node that serves clients."
)

# Requests that are not what the protocols allow.
BAD_REQUEST = RefusalKind(400, "Bad request", False, "Correct the client.")
BAD_VERSION = RefusalKind(400, "Unsupported protocol version", False, "Use Engine.IO 4.", code=5)
UNKNOWN_TRANSPORT = RefusalKind(400, "Transport unknown", False, "`transport` is `polling` or `websocket`.", code=0)
BAD_METHOD = RefusalKind(400, "Bad handshake method", False, "Open a session with GET.", code=2)
UNKNOWN_SESSION = RefusalKind(400, "Session ID unknown", True, "Open a new session.", code=1)
UPGRADED_SESSION = RefusalKind(400, "Session has moved to its WebSocket", False, "Use its WebSocket.")
TWO_POLLS = RefusalKind(400, "Two polls at once", False, "Poll again when the last poll is answered.")
TWO_POSTS = RefusalKind(400, "Two data requests at once", False, "Send when the last data request is answered.")
NO_BODY = RefusalKind(408, "Body did not arrive", True, "Open a new session.")
BODY_CUT = RefusalKind(400, "Body did not arrive", True, "Open a new session.")
TOO_BIG = RefusalKind(413, "Payload is too big", False, "Send smaller payloads: 16 KiB at most.")
HEAD_TOO_BIG = RefusalKind(431, "Request header fields are too large", False, "Send 16 KiB of header fields at most.")
FOREIGN_ORIGIN = RefusalKind(403, "Origin is not allowed", False, "List the origin in `ALLOWED_ORIGINS`.", code=4)
BAD_WEBSOCKET_VERSION = RefusalKind(426, "WebSocket version 13 is needed", False, "Use WebSocket version 13.")
BAD_WEBSOCKET_KEY = RefusalKind(400, "Bad Sec-WebSocket-Key", False, "Correct the client.")

FAILED = RefusalKind(500, "Internal error", True, "Try again; the server's log has the cause.")

ALL: tuple[RefusalKind, ...] = tuple(value for value in list(globals().values()) if isinstance(value, RefusalKind))
