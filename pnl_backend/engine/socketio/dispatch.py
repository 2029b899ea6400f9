"""Which of the application's handlers an event goes to, as python-socketio documents it, and how it is called."""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

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
    result = handler(*fitting(handler, args, optional))
    return await result if inspect.isawaitable(result) else result


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


async def dispatch(server: Any, event: str, namespace: str, *args: Any) -> Any:
    """Give an event to the application; NOT_HANDLED when nobody wants it."""
    optional = 1 if event in ("connect", "disconnect") else 0
    found = find_handler(server.handlers, event, namespace, args)
    if found is not None:
        return await call(*found, optional=optional)
    target = server.namespace_handlers.get(namespace)
    if target is None and "*" in server.namespace_handlers:
        target, args = server.namespace_handlers["*"], (namespace, *args)
    if target is None:
        return NOT_HANDLED
    if event == "connect" and (method := getattr(target, "on_connect", None)) is not None:
        args = fitting(method, args, 1)
    return await target.trigger_event(event, *args)
