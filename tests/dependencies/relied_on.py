"""Every private or undocumented name of other people's libraries that this project relies on, with where and why.

A change of one of them breaks us without a word in a changelog: a test looks each up in what is installed. What a
library documents and we use as it is meant is not listed, unless we override it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reliance:
    """`owner` is a module or class by its dotted name, `name` an attribute of it, empty for the owner itself.

    `where` is the class or function of ours that uses it. `signature` is that of what we override, or of what is called
    by position (`name=` has a default); `takes` are arguments that we give by name.
    """

    owner: str
    name: str
    where: str
    why: str
    signature: str | None = None
    takes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}".rstrip(".")


_SERVER = "socketio.base_server.BaseServer"
_REQUESTS = "aiohttp.web_protocol.RequestHandler"
_MESSAGE = "aiohttp.http_parser.RawRequestMessage"
_RESPONSE = "aiohttp.web_response.Response"
_STREAM_RESPONSE = "aiohttp.web_response.StreamResponse"
_STORAGE = "pybreaker.CircuitBreakerStorage"

SOCKETIO = (
    Reliance(_SERVER, "_engineio_server_class", "Server", "puts our engine beneath python-socketio", signature="self"),
    Reliance(
        _SERVER,
        "__init__",
        "Server",
        "what it does not know goes to the engine's constructor",
        takes=("client_manager", "async_handlers", "kwargs"),
    ),
    Reliance(_SERVER, "eio", "Server", "the engine that the constructor made"),
    Reliance(_SERVER, "manager", "Server", "the rooms that were given as client_manager"),
    Reliance(_SERVER, "environ", "SocketProtocol", "get_environ() of an application reads from it"),
    Reliance(_SERVER, "namespaces", "Handlers", "which namespaces an application admits"),
    Reliance(_SERVER, "handlers", "Handlers", "where on() and event() put the handlers of an application"),
    Reliance(_SERVER, "namespace_handlers", "Handlers", "where register_namespace() puts them"),
    Reliance(
        "socketio.AsyncServer",
        "attach",
        "Server",
        "mounts our engine in place of its own",
        signature="self, app, socketio_path=",
    ),
    Reliance(
        "socketio.AsyncServer", "shutdown", "Server", "closes our connections in place of its own", signature="self"
    ),
    Reliance(
        "socketio.packet.Packet",
        "__init__",
        "encode_packet",
        "packets are written by its encoder",
        takes=("packet_type", "data", "namespace", "id"),
    ),
    Reliance(
        "socketio.packet.Packet", "encode", "encode_packet", "text, or a list of text and attachments", signature="self"
    ),
    Reliance("socketio.packet", "", "encode_packet", "where the encoder is"),
    Reliance(
        "socketio.AsyncNamespace",
        "trigger_event",
        "FeedNamespace",
        "every packet of a namespace comes through it",
        signature="self, event, *args",
    ),
    Reliance("socketio.AsyncNamespace", "namespace", "FeedNamespace", "the name it was made with"),
    Reliance("socketio.exceptions.ConnectionRefusedError", "error_args", "Connects", "what a refused client is told"),
    Reliance("socketio.base_server", "", "ASYNC_SERVER_OPTIONS", "its constructor names the options that we refuse"),
    Reliance("engineio.base_server", "", "ASYNC_SERVER_OPTIONS", "its constructor names the options that we refuse"),
)

AIOHTTP = (
    Reliance("aiohttp.web_runner.BaseRunner", "server", "ApiRunner", "gives the listener our connections"),
    Reliance("aiohttp.web_runner.AppRunner", "app", "ApiRunner", "its routes say which paths are served"),
    Reliance("aiohttp.web_server.Server", "request_handler", "_Protocols", "handed on to our connections' server"),
    Reliance("aiohttp.web_server.Server", "request_factory", "_Protocols", "wrapped, so that paths match in any case"),
    Reliance(
        "aiohttp.web_server.Server",
        "__init__",
        "_Protocols",
        "made with the other server's handler",
        takes=("handler", "request_factory"),
    ),
    Reliance(
        _REQUESTS,
        "__init__",
        "_Connection",
        "made for each connection",
        takes=("manager", "loop", "keepalive_timeout", "lingering_time", "access_log"),
    ),
    Reliance(
        _REQUESTS, "_request_factory", "_Connection", "it has its own copy of the server's, set by the constructor"
    ),
    Reliance(
        _REQUESTS,
        "handle_error",
        "_Connection",
        "answers what is not HTTP in our failure form",
        signature="self, request, status=, exc=, message=",
    ),
    Reliance(
        _REQUESTS,
        "set_parser",
        "DetachedConnection",
        "gives out what was read behind an upgrade request",
        signature="self, parser, data_received_cb=",
    ),
    Reliance(_MESSAGE, "_replace", "_ServedPath", "a request whose path is written as its route is"),
    Reliance(_MESSAGE, "path", "_ServedPath", "the path with its query, as it was sent"),
    Reliance(_MESSAGE, "url", "_ServedPath", "the same, parsed"),
    Reliance("aiohttp.web_request.BaseRequest", "writer", "CompleteResponse", "takes the head and body as they are"),
    Reliance(
        _REQUESTS, "connection_lost", "_Connection", "called once when the transport is closed", signature="self, exc"
    ),
    Reliance("aiohttp.http_writer.StreamWriter", "output_size", "_Connection", "whether an answer is on its way"),
    Reliance(
        "aiohttp.http_writer.StreamWriter",
        "write_eof",
        "CompleteResponse",
        "writes the last bytes",
        signature="self, chunk=",
    ),
    Reliance(
        _STREAM_RESPONSE, "prepare", "CompleteResponse", "called once before write_eof", signature="self, request"
    ),
    Reliance(
        _RESPONSE, "write_eof", "CompleteResponse", "called once when the handler is done", signature="self, data="
    ),
    Reliance(_STREAM_RESPONSE, "prepared", "CompleteResponse", "whether the head is on its way"),
    Reliance(_STREAM_RESPONSE, "force_close", "CompleteResponse", "called to close the connection", signature="self"),
    Reliance(_STREAM_RESPONSE, "keep_alive", "CompleteResponse", "None unless the connection is to be closed"),
    Reliance(_RESPONSE, "body", "CompleteResponse", "the bytes that the constructor was given"),
    Reliance(
        _STREAM_RESPONSE, "headers", "CompleteResponse", "what a handler has set, with Content-Type alone at first"
    ),
    Reliance(_STREAM_RESPONSE, "reason", "CompleteResponse", "the phrase of the status line"),
    Reliance(_STREAM_RESPONSE, "status", "CompleteResponse", "the code of the status line"),
    Reliance("aiohttp.typedefs", "Handler", "Handler", "the type of a request handler"),
)

OTHERS = (
    Reliance(_STORAGE, "counter", "_Storage", "failures in a row, kept where a cancelled call can be undone"),
    Reliance(_STORAGE, "increment_counter", "_Storage", "the same", signature="self"),
    Reliance(_STORAGE, "reset_counter", "_Storage", "the same", signature="self"),
    Reliance(_STORAGE, "opened_at", "_Storage", "compared with the wall clock, which we derive from the monotonic one"),
    Reliance(_STORAGE, "state", "Breaker", "set back when a call is cancelled"),
    Reliance(
        "pybreaker.CircuitBreaker", "state", "Breaker", "set back when a call is cancelled; entering resets the counter"
    ),
    Reliance("pybreaker.CircuitBreaker", "calling", "Breaker", "a context manager without a lock", signature="self"),
    Reliance("dotenv.parser", "parse_stream", "faulty_lines", "tells lines that set nothing", signature="stream"),
    Reliance(
        "dotenv.parser.Binding",
        "__new__",
        "_first_line",
        "its line, text and error",
        takes=("key", "value", "original", "error"),
    ),
    Reliance("dotenv.parser.Original", "line", "_first_line", "the number of the line"),
    Reliance("dotenv.parser.Original", "string", "_first_line", "the text of the line"),
    Reliance("pydantic_settings.EnvSettingsSource", "env_vars", "load", "which names the environment has"),
    Reliance("pydantic_settings.DotEnvSettingsSource", "env_vars", "_dotenv", "which names `.env` has"),
    Reliance(
        "redis.maint_notifications",
        "MaintNotificationsConfig",
        "connect",
        "switched off, for with it a pooled connection is not checked for an answer that nobody read",
        takes=("enabled",),
    ),
    Reliance(
        "psycopg.types.numeric.Int8BinaryDumper",
        "dump",
        "_Flag",
        "flags are sent as integers, and integers of any size as bigint",
        signature="self, obj",
    ),
    Reliance("psycopg.types.numeric", "Int8BinaryDumper", "prepare", "sends integers of any size as bigint"),
    Reliance(
        "aiosqlite.Connection",
        "stop",
        "SQLiteTier",
        "ends the thread without waiting for a file system",
        signature="self",
    ),
)

RELIED_ON = (*SOCKETIO, *AIOHTTP, *OTHERS)

DOCUMENTED_MODULES = frozenset(
    {
        "aiohttp.abc",
        "cryptography.exceptions",
        "cryptography.hazmat",
        "limits.aio",
        "psycopg.conninfo",
        "psycopg.errors",
        "psycopg.pq",
        "msgspec.json",
        "msgspec.structs",
        "prometheus_client.core",
        "prometheus_client.registry",
        "pydantic.config",
        "pydantic.fields",
        "redis.asyncio",
        "redis.backoff",
        "redis.exceptions",
        "socketio.exceptions",
    }
)
"""Modules inside packages that the package's own documentation imports from, with those below them."""
