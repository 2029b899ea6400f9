"""The Engine.IO v4 server beneath python-socketio: sessions, their requests and their deadlines.

python-socketio reaches it through the few public names that python-engineio's server has too.
"""

import asyncio
import contextlib
import inspect
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web
from loguru import logger

from pnl_backend.engine import closes, refusals
from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.engineio import packets, polling
from pnl_backend.engine.engineio.session import OPEN, PendingUpgrade, Session
from pnl_backend.engine.engineio.upgrade import Probe, SecondWebSocket
from pnl_backend.engine.limits import DEPARTURE_TIMEOUT
from pnl_backend.engine.net.connection import Owner
from pnl_backend.engine.net.detached import environ_of
from pnl_backend.engine.net.messages import Message, ProtocolError
from pnl_backend.engine.net.requests import (
    Environ,
    Refusal,
    check_origin,
    check_version,
    from_client,
    handshake,
)
from pnl_backend.engine.net.shared import SharedState
from pnl_backend.engine.net.timers import Deadlines, Timeouts

Handler = Callable[..., Any]

ID_BYTES = 15
"""A multiple of three, so that the text of several ids can be cut into theirs."""
IDS_IN_BLOCK = 64


class EngineServer:
    """Sessions over long polling and WebSocket, for handlers of `connect`, `message` and `disconnect`."""

    async_mode = "aiohttp"
    session_class: type[Session] = Session

    def __init__(self, *, config: EngineConfig, async_handlers: bool = False) -> None:  # noqa: ARG002 - the base's signature
        """Handlers are plain functions, or coroutines run as tasks; python-socketio gives `async_handlers`."""
        self.config = config
        self.shared = SharedState(config)
        self.admission = self.shared.admission
        self.sessions: dict[str, Session] = {}
        self.handlers: dict[str, Handler] = {}
        self.open_packets = packets.OpenPackets(config)
        self._ids: list[str] = []
        timers = self.shared.timers
        self.resting = Deadlines[Session](timers, config.ping_interval, lambda session: session.keep_alive())
        """Sessions until their next ping."""
        self.unanswered = Deadlines[Session](timers, config.ping_timeout, lambda session: session.expire())
        """Sessions whose ping is not answered yet."""
        self.probing = Deadlines[PendingUpgrade](timers, config.upgrade_timeout, lambda upgrade: upgrade.give_up())
        self.late = Deadlines[Session](timers, config.slow_client_timeout, lambda session: session.cut())
        """Polling sessions for which something waits."""
        self.departing = Deadlines[Session](timers, DEPARTURE_TIMEOUT, lambda session: session.forget())
        """Sessions that have ended and whose client may still fetch what waits."""
        self.bodies = Timeouts(timers, config.body_timeout)

    # What python-socketio calls.

    def on(self, event: str, handler: Handler | None = None) -> Any:
        """Set the handler of `connect(sid, environ)`, `message(sid, data)` or `disconnect(sid, reason)`."""
        if event not in ("connect", "message", "disconnect"):
            raise ValueError(f"no such event: {event}")
        if handler is None:
            return lambda given: self.on(event, given)
        self.handlers[event] = handler
        return handler

    async def send(self, sid: str, data: str | bytes) -> None:
        """Send a message to one session, which may have gone."""
        session = self.sessions.get(sid)
        if session is not None:
            self.shared.counters.messages_sent += 1
            self.settle(session)
            session.send(packets.message(data))

    async def send_packet(self, sid: str, pkt: Any) -> None:
        """Send a python-engineio packet."""
        session = self.sessions.get(sid)
        if session is not None:
            self.settle(session)
            session.send(Message((pkt.encode(),)))

    async def disconnect(self, sid: str | None = None) -> None:
        """End one session, or all."""
        for session in list(self.sessions.values()) if sid is None else [self.sessions.get(sid)]:
            if session is not None:
                session.depart(closes.SERVER_DISCONNECT)

    def transport(self, sid: str) -> str:
        return "polling" if self.sessions[sid].connection is None else "websocket"

    async def get_session(self, sid: str) -> dict[str, Any]:
        """The application's own data for a session; KeyError when it has gone."""
        session = self.sessions[sid]
        if session.data is None:
            session.data = {}
        return session.data

    async def save_session(self, sid: str, session: dict[str, Any]) -> None:
        self.sessions[sid].data = session

    def generate_id(self) -> str:
        """A new id that nobody can guess; random bytes are asked for in blocks."""
        if not self._ids:
            block = urlsafe_b64encode(secrets.token_bytes(ID_BYTES * IDS_IN_BLOCK)).decode()
            length = len(block) // IDS_IN_BLOCK
            self._ids = [block[start : start + length] for start in range(0, len(block), length)]
        return self._ids.pop()

    def create_event(self) -> asyncio.Event:
        return asyncio.Event()

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> asyncio.Task[Any]:
        return self.spawn(target(*args, **kwargs))

    async def sleep(self, seconds: float = 0) -> None:
        await asyncio.sleep(seconds)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine as a task that is kept until it is done."""
        return self.shared.tasks.start(coroutine)

    async def shutdown(self, timeout: float = 5.0) -> None:
        """Refuse new clients, end every session, and wait until their connections are closed."""
        self.admission.closed = True
        for session in list(self.sessions.values()):
            session.depart(closes.SHUTDOWN)
        for connection in list(self.shared.open):
            connection.close(closes.SHUTDOWN)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.shared.quiet()
                await asyncio.gather(*self.shared.tasks.running, return_exceptions=True)
        for connection in list(self.shared.open):
            connection.abort()
        for task in self.shared.tasks.running - {asyncio.current_task()}:
            task.cancel()
        for session in list(self.sessions.values()):
            session.forget()  # a polling client that has not fetched its CLOSE: the timer that ends its stay stops here
        self.shared.timers.stop()

    # What sessions report.

    def opened(self, session: Session) -> None:
        self.resting.add(session)
        self.trigger("connect", session.sid, session.environ)

    async def ready(self, session: Session) -> None:
        """Wait until the session's handlers keep up with what it sends."""

    def settle(self, session: Session) -> None:
        """Something newer is about to be sent to this session alone: what older broadcasts owe it goes first."""

    def upgraded(self, session: Session) -> None:
        """The session has moved to its WebSocket."""

    def message(self, session: Session, data: str | bytes) -> None:
        self.shared.counters.messages_received += 1
        self.trigger("message", session.sid, data)

    def closed(self, session: Session, reason: str) -> None:
        """The session takes and gives nothing any more."""
        self.admission.leave(session.environ.peer)
        self.resting.discard(session)
        self.unanswered.discard(session)
        self.trigger("disconnect", session.sid, reason)

    def forget(self, session: Session) -> None:
        self.sessions.pop(session.sid, None)
        self.departing.discard(session)

    def trigger(self, event: str, *args: Any) -> None:
        """Call a handler; ProtocolError is the peer's fault and goes up, anything else is ours and is logged."""
        handler = self.handlers.get(event)
        if handler is None:
            return
        try:
            result = handler(*args)
        except ProtocolError:
            raise
        except Exception as error:
            self.shared.counters.handler_errors += 1
            logger.opt(exception=error).error("The {} handler failed", event)
            return
        if inspect.iscoroutine(result):
            self.spawn(result)

    # Requests.

    def open_websocket(self, environ: Environ) -> tuple[Owner, bytes]:
        """Judge a WebSocket request: who owns it, and the answer; Refusal when it is not taken."""
        query = environ.query
        check_origin(environ, self.config.cors_allowed_origins)
        if query.get("transport") != "websocket":
            raise Refusal.of(refusals.UNKNOWN_TRANSPORT)
        answer = handshake(environ)
        sid = query.get("sid")
        if sid is None:
            check_version(query)
            return self.new_session(environ), answer
        session = self.sessions.get(sid)
        if session is None or session.state != OPEN:
            raise Refusal.of(refusals.UNKNOWN_SESSION)
        self.admission.check(environ.peer)
        if session.connection is not None or session.probe is not None:
            return SecondWebSocket(session), answer
        return Probe(session), answer

    def new_session(self, environ: Environ) -> Session:
        self.admission.enter(environ.peer)
        environ.forget()
        session = self.session_class(self, self.generate_id(), environ)
        self.sessions[session.sid] = session
        return session

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a long-polling request; upgrades do not come here."""
        environ = from_client(environ_of(request), self.config)
        headers = {"Cache-Control": "no-store"}
        try:
            preflight = request.method == "OPTIONS"
            headers |= check_origin(environ, self.config.cors_allowed_origins, preflight=preflight)
            if preflight:
                return web.Response(status=204, headers=headers)
            text = await polling.answer(self, request, environ)
        except Refusal as refusal:
            self.shared.counters.refused += 1
            if refusal.retry_after is not None:
                headers["Retry-After"] = str(refusal.retry_after)
            response = web.Response(
                status=refusal.status, body=refusal.body, content_type="application/json", headers=headers
            )
            if refusal.status == 413:
                response.force_close()
            return response
        return web.Response(text=text, headers=headers)
