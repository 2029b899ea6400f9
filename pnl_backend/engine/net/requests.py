"""A request's head as handlers see it, and the rules that judge it: peer, origin, WebSocket handshake; no I/O."""

import re
from binascii import a2b_base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from pnl_backend.engine import refusals
from pnl_backend.engine.config import AllowOrigin, EngineConfig
from pnl_backend.engine.net.frames import accept_key

_END = re.compile(rb"\r?\n\r?\n")
_HEAD = re.compile(rb"GET [!-~]+ HTTP/1\.1\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)+\r\n")


MAX_FIELDS = 64
"""Of a query."""


@dataclass(slots=True, eq=False)
class Refusal(Exception):
    """Why a connection is not taken: an HTTP status, what to say, and when to come back (s)."""

    status: int
    message: str
    code: int = 3
    """Engine.IO's error code for polling clients."""
    retry_after: int | None = None

    @classmethod
    def of(cls, kind: refusals.RefusalKind) -> "Refusal":
        return cls(kind.status, kind.message, kind.code, kind.retry_after)

    @property
    def body(self) -> bytes:
        return f'{{"code":{self.code},"message":"{self.message}"}}'.encode()


def refusal_bytes(refusal: Refusal) -> bytes:
    """A whole HTTP answer that ends the connection."""
    lines = [
        f"HTTP/1.1 {refusal.status} Refused",
        "Content-Type: application/json",
        f"Content-Length: {len(refusal.body)}",
        "Connection: close",
    ]
    if refusal.status == 426:
        lines.append("Sec-WebSocket-Version: 13")
    if refusal.retry_after is not None:
        lines.append(f"Retry-After: {refusal.retry_after}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + refusal.body


class HeadReader:
    """Finds the end of a request head in what arrives, and says when there is too much of it."""

    __slots__ = ("_tail", "complete", "limit", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.complete = False
        self._tail = b""

    def take(self, data: bytes) -> bool:
        """Take the next bytes; False when there are more than `limit` and the head is not complete."""
        if self.complete:
            return True
        if not self._tail:
            data = data.lstrip(b"\r\n")  # empty lines may stand before a request (RFC 9112, 2.2)
        seen = self._tail + data
        self.complete = _END.search(seen) is not None
        self.size += len(data)
        self._tail = seen[-3:]
        return self.complete or self.size <= self.limit


def begins_whole(data: bytes) -> bool:
    """Whether bytes begin with a whole request head, as most of what is read first does."""
    return data[:1].isalpha() and data.find(b"\r\n\r\n") > 0


class Environ(Mapping[str, object]):
    """WSGI names over the bytes of a request's head: one small object for a connection's life."""

    __slots__ = ("_headers", "_query", "_target", "peer", "raw", "secure")

    def __init__(self, raw: bytes, peer: str, *, secure: bool = False) -> None:
        self.raw = raw
        self.peer = peer
        self.secure = secure
        self._headers: dict[str, str] | None = None
        self._query: dict[str, str] | None = None
        self._target: str | None = None

    @property
    def target(self) -> str:
        if self._target is None:
            self._target = self.raw[: self.raw.index(b"\r\n")].decode("latin-1").split(" ")[1]
        return self._target

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def method(self) -> str:
        return self.raw[: self.raw.index(b" ")].decode("latin-1")

    @property
    def query(self) -> dict[str, str]:
        """The query's first value for each name."""
        if self._query is None:
            self._query = parse_query(self.target.partition("?")[2])
        return self._query

    @property
    def headers(self) -> dict[str, str]:
        """Lower-case names; repeated headers joined by commas."""
        if self._headers is None:
            self._headers = {}
            for line in self.raw.decode("latin-1").split("\r\n")[1:]:
                name, _, value = line.partition(":")
                name = name.lower()
                if name:
                    value = value.strip(" \t")
                    self._headers[name] = f"{self._headers[name]},{value}" if name in self._headers else value
        return self._headers

    def header(self, name: str, default: str = "") -> str:
        """One header by its name in any case; where they are not parsed, only it is."""
        if self._headers is not None:
            return self._headers.get(name.lower(), default)
        start = f"\r\n{name}:".lower().encode("latin-1")
        lowered = self.raw.lower()
        at = lowered.find(start)
        if at < 0:
            return default
        at += len(start)
        if lowered.find(start, at) >= 0:  # repeated
            return self.headers.get(name.lower(), default)
        return self.raw[at : self.raw.index(b"\r\n", at)].decode("latin-1").strip(" \t")

    def forget(self) -> None:
        """Drop what was parsed; it is read again from the bytes when somebody asks."""
        self._headers = self._query = self._target = None

    def _wsgi(self) -> dict[str, object]:
        names = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        return {
            **names,
            "REQUEST_METHOD": self.method,
            "PATH_INFO": self.path,
            "QUERY_STRING": self.target.partition("?")[2],
            "RAW_URI": self.target,
            "REMOTE_ADDR": self.peer,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "https" if self.secure else "http",
        }

    def __getitem__(self, name: str) -> object:
        return self.peer if name == "REMOTE_ADDR" else self._wsgi()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._wsgi())

    def __len__(self) -> int:
        return len(self._wsgi())


def fold_path(path: str) -> str:
    """The form under which paths are compared, as Express does: case does not matter, nor one slash at the end."""
    if len(path) > 1 and path.endswith("/") and not path.endswith("//"):
        path = path[:-1]
    return path.lower() if path.isascii() else path


def parse_query(query: str) -> dict[str, str]:
    """First value for each name; a query too long or too odd to be ours reads as empty."""
    if "%" not in query and "+" not in query and query.count("&") < MAX_FIELDS:  # as most are: nothing to decode
        parts = [part.partition("=") for part in reversed(query.split("&")) if part]
        return {name: value for name, _, value in parts}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def check_version(query: Mapping[str, str]) -> None:
    """Refusal for another version of Engine.IO than 4."""
    if query.get("EIO") != "4":
        raise Refusal.of(refusals.BAD_VERSION)


def clean_upgrade(head: bytes) -> bool:
    """Whether a request head is a plain upgrade that needs no general HTTP parser: anything odd is left to one."""
    if not _HEAD.fullmatch(head):
        return False
    lowered = head.lower()
    return b"\r\ncontent-length:" not in lowered and b"\r\ntransfer-encoding:" not in lowered


def from_client(environ: Environ, config: EngineConfig) -> Environ:
    """The same request with the client's address and scheme in place of its peer's."""
    forwarded_for, forwarded_proto = environ.header("X-Forwarded-For"), environ.header("X-Forwarded-Proto")
    address, secure = config.resolve_client(environ.peer, environ.secure, forwarded_for, forwarded_proto)
    if (address, secure) == (environ.peer, environ.secure):
        return environ
    return Environ(environ.raw, address, secure=secure)


def check_origin(environ: Environ, allow: AllowOrigin, *, preflight: bool = False) -> Mapping[str, str]:
    """The headers that let a page of the request's origin read the answer; Refusal for a foreign origin."""
    origin = environ.headers.get("origin")
    if origin is None:
        return {}
    headers = allow(origin, environ.header("Access-Control-Request-Headers") if preflight else None)
    if headers is None and not same_origin(environ, origin):
        raise Refusal.of(refusals.FOREIGN_ORIGIN)
    return headers or {"Vary": "Origin"}


def same_origin(environ: Environ, origin: str) -> bool:
    """Whether a page that this very host served makes the request."""
    try:
        page = urlsplit(origin)
    except ValueError:
        return False
    host = environ.headers.get("host", "").lower()
    scheme = "https" if environ.secure else "http"
    default = ":443" if environ.secure else ":80"
    return (
        bool(host) and page.scheme == scheme and page.netloc.lower().removesuffix(default) == host.removesuffix(default)
    )


def handshake(environ: Environ) -> bytes:
    """The 101 answer to a WebSocket handshake (RFC 6455, 4.2); Refusal when it is not one."""
    headers = environ.headers
    if environ.method != "GET" or headers.get("upgrade", "").lower() != "websocket":
        raise Refusal.of(refusals.BAD_REQUEST)
    connection = headers.get("connection", "").lower()
    if connection != "upgrade" and "upgrade" not in [token.strip() for token in connection.split(",")]:
        raise Refusal.of(refusals.BAD_REQUEST)
    if headers.get("sec-websocket-version") != "13":
        raise Refusal.of(refusals.BAD_WEBSOCKET_VERSION)
    key = headers.get("sec-websocket-key", "")
    try:
        if len(a2b_base64(key, strict_mode=True)) != 16:
            raise ValueError
    except ValueError:
        raise Refusal.of(refusals.BAD_WEBSOCKET_KEY) from None
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
    )
