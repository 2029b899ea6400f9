"""Socket.IO's CONNECT: who the client is, whether the application takes it, and the answer.

A client may send another CONNECT to a namespace while the first is not answered, or before it has read the answer (the
JavaScript client does, on connect, disconnect, connect). Each is answered, and the newest answer is the one in force on
both sides: until then the former member goes on, then it leaves.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import socketio

from pnl_backend.engine import closes
from pnl_backend.engine.engineio.session import OPEN
from pnl_backend.engine.net.messages import Message
from pnl_backend.engine.net.requests import Environ, Refusal
from pnl_backend.engine.net.tasks import result_of
from pnl_backend.engine.socketio import packets
from pnl_backend.engine.socketio.clients import CONNECTED, Client, Member
from pnl_backend.engine.socketio.handlers import Handlers

Identity = str | Refusal | None
"""The name of a key; None or a Refusal for one that opens nothing."""
Authenticate = Callable[[Environ, Any], Awaitable[Identity] | Identity]


@dataclass(slots=True)
class ConnectRequest:
    """A client that was authenticated and asks to connect to a namespace."""

    namespace: str
    auth: Any
    environ: Environ
    key: str
    """What `authenticate` named it."""


@dataclass(slots=True)
class ConnectPlan:
    """How to take it in."""

    sid: str | None = None
    rooms: Sequence[str] = ()
    payload: Mapping[str, Any] = field(default_factory=dict)
    variant: int = 0
    replay: Iterable[tuple[str, Any] | Message] = ()
    """Events, each with its data as in `emit`, or encoded already."""
    admitted: Callable[[Member], None] | None = None
    """Called right behind the replay: from then on the member can be sent more."""


_NO_PLAN = ConnectPlan()
OnConnect = Callable[[ConnectRequest], "Awaitable[ConnectPlan | None] | ConnectPlan | None"]


class Connects:
    """The CONNECT packets of all clients."""

    def __init__(self, handlers: Handlers, authenticate: Authenticate | None, on_connect: OnConnect | None) -> None:
        self.handlers = handlers
        self.manager = handlers.manager
        self.eio = handlers.manager.eio
        self._authenticate = authenticate
        self._on_connect = on_connect

    def unknown(self, client: Client, packet: packets.Packet) -> None:
        """Answer a CONNECT to a namespace that does not exist."""
        client.send(packets.encode_packet(packets.CONNECT_ERROR, packet.namespace, {"message": "Invalid namespace"}))

    async def connect(self, client: Client, namespace: str, auth: Any) -> None:
        """Authenticate, plan, run the connect handlers, answer. Nothing is registered before the key is known."""
        key = await self._identify(client, auth)
        if client.state != OPEN:
            return
        if key is None or isinstance(key, Refusal):
            self._refuse_key(client, namespace, key)
            return
        if key not in client.keys:
            if not self.eio.admission.enter_key(key):
                self._refuse(client, namespace, {"message": "Too many connections for this key"})
                return
            client.keys = (*client.keys, key)
        try:
            plan = await self._plan(ConnectRequest(namespace, auth, client.environ, key))
        except Exception as error:
            self.handlers.failed("on_connect", error)
            self._refuse(client, namespace, {"message": "Unable to connect"})
            return
        if client.state != OPEN:
            return
        member = self.manager.enter(client, namespace, plan.sid or self.eio.generate_id(), plan.rooms)
        member.variant = plan.variant
        refusal = await self._ask(member, auth)
        if refusal is not None:
            self.manager.leave(member)
            self._refuse(client, namespace, refusal)
        elif client.state != OPEN:
            member.depart()
            await self.handlers.run_disconnect(member, closes.TRANSPORT_CLOSE.reason)
        else:
            self._admit(member, plan)

    def _admit(self, member: Member, plan: ConnectPlan) -> None:
        """Answer with CONNECT and what follows it; a former member of the client leaves the namespace."""
        client, namespace = member.client, member.namespace
        self.eio.unconnected.discard(client)
        client.environ.forget()
        former = client.members.get(namespace)
        client.members[namespace] = member
        if former is not None and former.state == CONNECTED:
            former.depart()
            former.replaced = True
            self.eio.spawn(self.handlers.leave(client, former))
        replay = [
            event if isinstance(event, Message) else self.manager.encode(*event, namespace) for event in plan.replay
        ]
        member.held = [*replay, *(member.held or [])]
        member.admit(packets.connect_packet(namespace, member.sid, plan.payload))
        if plan.admitted is not None:
            plan.admitted(member)

    async def _identify(self, client: Client, auth: Any) -> Identity:
        if self._authenticate is None:
            return ""
        try:
            identity: Identity = await result_of(self._authenticate(client.environ, auth))
        except Exception as error:
            self.handlers.failed("authenticate", error)
            return None
        return identity

    async def _plan(self, request: ConnectRequest) -> ConnectPlan:
        if self._on_connect is None:
            return _NO_PLAN
        plan: ConnectPlan | None = await result_of(self._on_connect(request))
        return plan or _NO_PLAN

    async def _ask(self, member: Member, auth: Any) -> Any:
        """Run the connect handlers; None when they accept the client, else the data of its CONNECT_ERROR."""
        try:
            answer = await self.handlers.run("connect", member.namespace, member.sid, member.client.environ, auth)
        except socketio.exceptions.ConnectionRefusedError as error:
            return error.error_args
        except ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        except Exception as error:
            self.handlers.failed("connect", error)
            return {"message": "Unable to connect"}
        return {"message": "Connection rejected by server"} if answer is False else None

    def _refuse_key(self, client: Client, namespace: str, refusal: Refusal | None) -> None:
        """Answer a CONNECT with a wrong key; a client that gets a Refusal and has no namespace is disconnected."""
        if refusal is None:
            self._refuse(client, namespace, {"message": self.eio.config.refusal})
            return
        data = {"status": refusal.status, "retryAfter": refusal.retry_after}
        self._refuse(client, namespace, {"message": refusal.message, "data": data})
        if not client.members:
            client.depart(closes.SERVER_DISCONNECT)

    def _refuse(self, client: Client, namespace: str, reason: Any) -> None:
        self.eio.shared.counters.refused += 1
        if isinstance(reason, str):
            reason = {"message": reason}
        client.send(packets.encode_packet(packets.CONNECT_ERROR, namespace, reason))
