"""The server that an application builds: python-socketio's API over this engine."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import socketio
from aiohttp import web

from pnl_backend.engine.config import EngineConfig

Authenticate = Callable[[Any, Any], "Awaitable[str | None] | str | None"]


class Server(socketio.AsyncServer):
    """A `socketio.AsyncServer` with broadcasts that say what they replace."""

    def __init__(self, config: EngineConfig, authenticate: Authenticate | None) -> None:
        self.config = config
        self.authenticate = authenticate
        super().__init__(
            async_mode="aiohttp",
            ping_interval=config.ping_interval,
            ping_timeout=config.ping_timeout,
            max_http_buffer_size=config.max_http_buffer_size,
            cors_allowed_origins=config.cors_allowed_origins or None,
        )

    async def broadcast(
        self,
        event: str,
        data: Any = None,
        *,
        room: str | None = None,
        namespace: str = "/",
        skip_sid: str | None = None,
        replace_key: str | None = None,
        offset: str | None = None,
    ) -> None:
        """Emit to a room, or to everyone, what may replace what waits under the same key."""
        await self.emit(event, data, room=room, namespace=namespace, skip_sid=skip_sid)

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        if event == "connect" and self.authenticate is not None:
            answer = self.authenticate(args[1], args[2] if len(args) > 2 else None)
            if (await answer if inspect.isawaitable(answer) else answer) is None:
                raise socketio.exceptions.ConnectionRefusedError(self.config.refusal)
        return await super()._trigger_event(event, namespace, *args)


class Listener:
    """A listening address; `port` is the one really bound."""

    def __init__(self, site: web.TCPSite, port: int) -> None:
        self._site = site
        self.port = port

    async def close(self) -> None:
        await self._site.stop()


def create_server(config: EngineConfig, *, authenticate: Authenticate | None = None) -> Server:
    """Build a server; see docs/engine.md."""
    return Server(config, authenticate)


def attach(server: Server, app: web.Application) -> None:
    """Mount the server at its path on an aiohttp application."""
    socketio.AsyncServer.attach(server, app, server.config.path.strip("/"))


async def listen(server: Server, runner: web.AppRunner, *, host: str, port: int, ssl_context: Any = None) -> Listener:  # noqa: ARG001
    """Serve a set-up runner's application at an address."""
    site = web.TCPSite(runner, host, port, ssl_context=ssl_context)
    await site.start()
    return Listener(site, runner.addresses[-1][1])
