"""A route as data, for the router, the key check and the description: access, parameters, responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from pnl_backend.http.params import Param

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Access = Literal["public", "optional", "read", "admin", "metrics"]
"""Who may call the route; `optional` needs no key and returns more with a valid one."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may call the route, and whether the rate limit counts the call."""

    access: Access
    limited: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """One successful answer, `many` for a list of the model; without a model the body is text or free JSON.

    The fields of `beside` are added to the envelope's own.
    """

    description: str
    model: type[Any] | None = None
    enveloped: bool = True
    many: bool = False
    beside: type[Any] | None = None
    content_type: str = "application/json"
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`cors`: other origins may call it; `documented`: the OpenAPI document contains it."""

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    summary: str = ""
    """Without a full stop."""
    description: str = ""
    """What the summary leaves out, in sentences."""
    tag: str = ""
    guard: Guard = Guard("read")
    params: tuple[Param, ...] = ()
    body: type[Any] | None = None
    answers: tuple[Answer, ...] = ()
    errors: tuple[int, ...] = ()
    cors: bool = True
    documented: bool = True
