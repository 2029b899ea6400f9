"""Every way in which the server ends a connection: its code, its reason, and what a client should do then.

Whatever closes a connection takes one of these objects. `make docs` writes them into the table in `docs/wire.md`.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Close:
    """One way to end a connection.

    `code` is that of the WebSocket close frame (RFC 6455, 7.4); long polling and event streams carry none. `reason` is
    the text in the frame, and what `disconnect` and `closed` handlers get. `reconnect` says whether a client should
    connect again by itself, `advice` what its author should know.
    """

    code: int
    reason: str
    reconnect: bool
    advice: str

    def because(self, reason: str) -> "Close":
        """The same with another reason."""
        return replace(self, reason=reason)


# The connection is lost, or the client ends it.
NORMAL = Close(1000, "", True, "Connect again if the connection is still needed.")
TRANSPORT_CLOSE = Close(1000, "transport close", True, "Connect again, with backoff.")
CLIENT_DISCONNECT = Close(1000, "client disconnect", False, "Nothing: the client asked for it.")

# The client breaks a protocol.
TRANSPORT_ERROR = Close(
    1000,
    "transport error",
    True,
    "Connect again, with backoff; when it recurs at once, the client breaks the protocol.",
)
BAD_FRAME = Close(1002, "bad frame", False, "Correct the client: its WebSocket frames break RFC 6455.")
BAD_TEXT = Close(1007, "text is not UTF-8", False, "Correct the client: text messages are UTF-8.")
PROTOCOL_ERROR = Close(1008, "protocol error", False, "Correct the client: the reason names the rule that it broke.")
TOO_BIG = Close(1009, "message is too big", False, "Send smaller messages: 16 KiB at most.")
SECOND_WEBSOCKET = Close(
    1008, "the session has its WebSocket", False, "Nothing: the session goes on over its first WebSocket."
)

# The client does not keep up.
PING_TIMEOUT = Close(1001, "ping timeout", True, "Connect again. When it recurs, answer pings.")
SLOW_CLIENT = Close(
    1008,
    "slow client",
    True,
    "Connect again and ask for what was missed. No close frame is sent: it would not be read.",
)

# The server ends it.
SERVER_DISCONNECT = Close(1000, "server disconnect", False, "Connect again only when the user asks for it.")
SHUTDOWN = Close(1001, "server shutting down", True, "Connect again after a random pause of some seconds.")
KEY_REVOKED = Close(1008, "key revoked", False, "Ask the user for another key.")

# Keys and limits of the plain WebSocket feeds.
MISSING_KEY = Close(4401, "Missing API key", False, "Send a key: `?apiKey=`, a header, or the first message.")
WRONG_KEY = Close(4401, "Invalid API key", False, "Ask the user for another key.")
WRONG_KEYS_LIMITED = Close(
    4401, "Too many wrong API keys", False, "Ask the user for another key; a wrong one is not looked at for a minute."
)
TOO_MANY_MESSAGES = Close(1008, "Too many messages", True, "Connect again and send fewer messages.")
TOO_MANY_BAD_MESSAGES = Close(
    1008, "Too many bad messages", False, "Correct the client: each error message said what was wrong."
)
KEY_FULL = Close(1008, "Too many connections for this key", True, "Close connections that are not needed; try later.")

ALL: tuple[Close, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Close))


def echo(code: int) -> Close:
    """The answer to a close frame of the peer with this code."""
    return replace(CLIENT_DISCONNECT, code=code, reason="")
