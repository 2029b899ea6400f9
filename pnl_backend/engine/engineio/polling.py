"""Long-polling requests: what is taken from them, what answers them, and clients that go while they wait."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import cast

from aiohttp import web

from pnl_backend.engine import closes, refusals
from pnl_backend.engine.engineio import packets
from pnl_backend.engine.engineio.session import CLOSED, Session, SessionServer
from pnl_backend.engine.net.messages import ProtocolError
from pnl_backend.engine.net.requests import Environ, Refusal, check_version


async def answer(engine: SessionServer, request: web.Request, environ: Environ) -> str:
    """Take a GET or POST, answer its body; Refusal for what the protocol does not allow."""
    query = environ.query
    if query.get("transport") != "polling":
        raise Refusal.of(refusals.UNKNOWN_TRANSPORT)
    if request.method not in ("GET", "POST"):
        raise Refusal.of(refusals.BAD_METHOD)
    sid = query.get("sid")
    if sid is None:
        if request.method != "GET":
            raise Refusal.of(refusals.BAD_METHOD)
        check_version(query)
        session = engine.new_session(environ)
        engine.opened(session)
        return engine.open_packets.packet(session.sid)
    known = engine.sessions.get(sid)
    if known is not None and engine.unanswered.overdue(known):
        known.expire()
    if known is None or known.state == CLOSED:
        raise Refusal.of(refusals.UNKNOWN_SESSION)
    if query.get("EIO") != "4":
        raise Refusal.of(refusals.BAD_REQUEST)
    if known.connection is not None:
        raise Refusal.of(refusals.UPGRADED_SESSION)
    return await (_post(engine, known, request) if request.method == "POST" else _poll(known, request))


async def _poll(session: Session, request: web.Request) -> str:
    """What waits, or comes; a client that goes meanwhile ends its session, as nobody can say what it has read."""
    with watched(request, lambda: session.end(closes.TRANSPORT_CLOSE)):
        payload = await session.answer_poll()
    if request.transport is None or request.transport.is_closing():
        session.end(closes.TRANSPORT_CLOSE)
    return payload


async def _post(engine: SessionServer, session: Session, request: web.Request) -> str:
    """Take a payload; whatever is wrong with it ends the session, and so does a second one at the same time."""
    try:
        if session.posting:
            raise Refusal.of(refusals.TWO_POSTS)
        session.posting = True
        try:
            await _take(engine, session, request)
        finally:
            session.posting = False
    except TimeoutError:
        session.end(closes.TRANSPORT_ERROR, packets.CLOSE_MESSAGE)
        raise Refusal.of(refusals.NO_BODY) from None
    except ConnectionError:
        session.end(closes.TRANSPORT_CLOSE)
        raise Refusal.of(refusals.BODY_CUT) from None
    except Refusal:
        session.end(closes.TRANSPORT_ERROR, packets.CLOSE_MESSAGE)
        raise
    except ProtocolError as error:
        engine.shared.counters.protocol_errors += 1
        session.end(closes.TRANSPORT_ERROR, packets.CLOSE_MESSAGE)
        raise Refusal.of(refusals.BAD_REQUEST) from error
    return "ok"


async def _take(engine: SessionServer, session: Session, request: web.Request) -> None:
    """Read the packets of a POST and give them to the session, which may end before all of its body is here."""
    try:
        async with engine.bodies.limit() as session.body:
            body = await _body(request, engine.config.max_http_buffer_size)
    except TimeoutError:
        if session.state != CLOSED:
            raise
    finally:
        session.body = None
    if session.state == CLOSED:
        raise Refusal.of(refusals.UNKNOWN_SESSION)
    for kind, data in packets.decode_payload(body):
        session.packet(kind, data)
        await engine.ready(session)


async def _body(request: web.Request, limit: int) -> bytes:
    too_big = Refusal.of(refusals.TOO_BIG)
    if (request.content_length or 0) > limit:
        raise too_big
    body = b""
    async for part in request.content.iter_any():
        body += part
        if len(body) > limit:
            raise too_big
    return body


@contextlib.contextmanager
def watched(request: web.Request, lost: Callable[[], None]) -> Iterator[None]:
    """Call back when the client goes while the request is handled: aiohttp itself lets the handler go on."""
    transport = request.transport
    if transport is None:
        lost()
        yield
        return
    under = cast(asyncio.Protocol, transport.get_protocol())
    transport.set_protocol(_Watch(under, lost))
    try:
        yield
    finally:
        if not transport.is_closing():
            transport.set_protocol(under)


class _Watch(asyncio.Protocol):
    """Gives everything on to the protocol that it stands before."""

    def __init__(self, under: asyncio.Protocol, lost: Callable[[], None]) -> None:
        self._under = under
        self._lost = lost
        self.data_received = under.data_received  # type: ignore[method-assign] # nothing to add to any of these
        self.eof_received = under.eof_received  # type: ignore[method-assign] # likewise
        self.pause_writing = under.pause_writing  # type: ignore[method-assign] # likewise
        self.resume_writing = under.resume_writing  # type: ignore[method-assign] # likewise

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()
        self._under.connection_lost(exc)
