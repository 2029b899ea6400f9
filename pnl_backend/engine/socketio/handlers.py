"""Which of the application's handlers an event goes to, as python-socketio documents it, and how it is called."""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import socketio
from loguru import logger

from pnl_backend.engine import closes
from pnl_backend.engine.net.tasks import result_of
from pnl_backend.engine.socketio.clients import Client, Member
from pnl_backend.engine.socketio.rooms import Rooms

NOT_HANDLED = object()
Found = tuple[Callable[..., Any], tuple[Any, ...]]


def find_handler(
    handlers: dict[str, dict[str, Callable[..., Any]]], event: str, namespace: str, args: tuple[Any, ...]
) -> Found | None:
    """The function for an event and its arguments: exact names first, then the catch-alls."""
    reserved = event in ("connect", "disconnect")
    for name, prefix in ((namespace, ()), ("*", (namespace,))):
        registered = handlers.get(name, {})
        if event in registered:
            return registered[event], (*prefix, *args)
        if not reserved and "*" in registered:
            return registered["*"], (event, *prefix, *args)
    return None


async def call(handler: Callable[..., Any], args: tuple[Any, ...], *, optional: int = 0) -> Any:
    """Call a plain or async handler; up to `optional` last arguments are left out when it does not take them."""
    return await result_of(handler(*fitting(handler, args, optional)))


def fitting(handler: Callable[..., Any], args: tuple[Any, ...], optional: int) -> tuple[Any, ...]:
    """The arguments without those at the end which an older handler does not know."""
    return args[: _taken(handler, len(args), optional)] if optional else args


@lru_cache(maxsize=256)
def _taken(handler: Callable[..., Any], count: int, optional: int) -> int:
    try:
        signature = inspect.signature(handler)
    except ValueError:
        return count
    for length in range(count, count - optional, -1):
        try:
            signature.bind(*range(length))
        except TypeError:
            continue
        return length
    return count - optional


class Handlers:
    """Runs the application's handlers; what fails in them is logged and counted."""

    def __init__(self, server: socketio.AsyncServer, manager: Rooms) -> None:
        self._server = server
        self.manager = manager
        self._logged: set[str] = set()

    def known(self, namespace: str) -> bool:
        """Whether a namespace exists."""
        return (
            self._server.namespaces == "*"
            or namespace in self._server.namespaces
            or namespace in self._server.handlers
            or namespace in self._server.namespace_handlers
        )

    async def run(self, event: str, namespace: str, *args: Any) -> Any:
        """Run the handler of an event and return its result; NOT_HANDLED when there is none."""
        optional = 1 if event in ("connect", "disconnect") else 0
        found = find_handler(self._server.handlers, event, namespace, args)
        if found is not None:
            return await call(*found, optional=optional)
        target = self._server.namespace_handlers.get(namespace)
        if target is None and "*" in self._server.namespace_handlers:
            target, args = self._server.namespace_handlers["*"], (namespace, *args)
        if target is None:
            return NOT_HANDLED
        if event == "connect" and (method := getattr(target, "on_connect", None)) is not None:
            args = fitting(method, args, 1)
        return await result_of(target.trigger_event(event, *args))

    async def run_disconnect(self, member: Member, reason: str) -> None:
        """Run the disconnect handler while the member still has its rooms, then remove it."""
        try:
            await self.run("disconnect", member.namespace, member.sid, reason)
        except Exception as error:
            self.failed("disconnect", error)
        self.manager.leave(member)

    async def leave(self, client: Client, member: Member) -> None:
        """Run the disconnect handler of a member whose client has left the namespace, and remove it."""
        await self.run_disconnect(member, closes.CLIENT_DISCONNECT.reason)
        self.manager.eio.idle(client)

    def failed(self, what: str, error: Exception) -> None:
        """Log the first failure of each handler with its trace; count them all."""
        self.manager.eio.shared.counters.handler_errors += 1
        if what not in self._logged and len(self._logged) < 100:
            self._logged.add(what)
            logger.opt(exception=error).error("The handler of {!r} failed; further failures are counted", what[:80])
