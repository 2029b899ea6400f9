"""Clients, and their memberships of namespaces."""

import asyncio
from collections.abc import Callable
from typing import Any

from pnl_backend.engine.engineio.session import Session, SessionServer
from pnl_backend.engine.net.connection import Connection
from pnl_backend.engine.net.messages import Message
from pnl_backend.engine.net.requests import Environ
from pnl_backend.engine.socketio.packets import Packet

PENDING, CONNECTED, LEAVING = range(3)


class Client(Session):
    """An Engine.IO session with its Socket.IO state."""

    __slots__ = ("assembling", "backlog_done", "keys", "members", "running")

    def __init__(self, engine: SessionServer, sid: str, environ: Environ) -> None:
        super().__init__(engine, sid, environ)
        self.members: dict[str, Member] = {}
        self.assembling: Packet | None = None
        self.keys: tuple[str, ...] = ()
        self.running = 0
        self.backlog_done: asyncio.Future[None] | None = None


class Member:
    """A client in one namespace; it gets broadcasts."""

    __slots__ = (
        "callbacks",
        "client",
        "connection",
        "held",
        "namespace",
        "replaced",
        "rooms",
        "sid",
        "state",
        "variant",
    )

    def __init__(self, sid: str, namespace: str, client: Client) -> None:
        self.sid = sid
        self.namespace = namespace
        self.client = client
        self.connection: Connection | None = None
        self.variant = 0
        self.state = PENDING
        self.rooms: tuple[str, ...] = ()
        self.held: list[Message] | None = []
        self.callbacks: dict[int, Callable[..., Any]] | None = None
        self.replaced = False
        """By the member of a newer CONNECT of the same client, which gets what handlers still send to this one."""

    def deliver(self, message: Message) -> None:
        """Send; what comes before the CONNECT answer is held until behind it."""
        if self.state == LEAVING:
            return
        if self.held is not None:
            self.held.append(message)
        else:
            self.client.send(message)

    def depart(self) -> None:
        """Nothing is sent to it any more; it keeps its rooms until its disconnect handler has run."""
        self.state = LEAVING
        self.connection = None

    def admit(self, answer: Message) -> None:
        """Send the CONNECT answer and what was held for it."""
        held, self.held = self.held or [], None
        self.state = CONNECTED
        self.client.send_all((answer, *held))
        self.connection = self.client.connection
