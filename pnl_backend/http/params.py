"""Parameters of routes: name, bounds and default are defined once, for parsing and for the description."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from pnl_backend.wire.message import Model, decoded
from pnl_backend.wire.refusals import BadRequest, BodyTimeout, PayloadTooLarge

_INTEGER = re.compile(r"-?[0-9]{1,16}", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)


class Param(Protocol):
    """A query parameter, as the OpenAPI document needs it."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    def schema(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class IntParam:
    """A whole number within bounds; None when absent and without a default."""

    name: str
    description: str
    minimum: int
    maximum: int
    default: int | None = None

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}
        return schema if self.default is None else {**schema, "default": self.default}

    def read(self, request: web.Request) -> int | None:
        text = _one(request, self.name)
        if text is None:
            return self.default
        if not _INTEGER.fullmatch(text) or not self.minimum <= (value := int(text)) <= self.maximum:
            raise BadRequest(f"{self.name} must be a whole number from {self.minimum} to {self.maximum}")
        return value


@dataclass(frozen=True, slots=True)
class LimitParam:
    """How many at most: a whole number above 0, None when absent; larger values are reduced to `maximum`."""

    name: str
    description: str
    maximum: int

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": 1}

    def read(self, request: web.Request) -> tuple[int | None, bool]:
        """The limit, and whether it was reduced."""
        text = _one(request, self.name)
        if text is None:
            return None, False
        digits = text.lstrip("0")
        if not _DIGITS.fullmatch(text) or not digits:
            raise BadRequest(f"{self.name} must be a whole number above 0")
        if len(digits) > len(str(self.maximum)) or int(digits) > self.maximum:
            return self.maximum, True
        return int(digits), False


@dataclass(frozen=True, slots=True)
class ChoiceParam:
    """One of a fixed set of words."""

    name: str
    description: str
    choices: tuple[str, ...]
    default: str

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.choices), "default": self.default}

    def read(self, request: web.Request) -> str:
        text = _one(request, self.name)
        if text is None:
            return self.default
        if text not in self.choices:
            raise BadRequest(f"{self.name} must be one of: {', '.join(self.choices)}")
        return text


def _one(request: web.Request, name: str) -> str | None:
    """The parameter's value, None when absent; BadRequest if it is given more than once."""
    if not request.query_string:
        return None
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise BadRequest(f"{name} must be given once")
    return values[0] if values else None


async def read_body(request: web.Request, model: type[Model], *, max_bytes: int, timeout: float) -> Model:
    """The body as a model, an empty one as `{}`; at most `max_bytes`, within `timeout` seconds."""
    length = request.content_length
    if length is not None and length > max_bytes:
        raise PayloadTooLarge(f"The body must not exceed {max_bytes} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(timeout):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    raise PayloadTooLarge(f"The body must not exceed {max_bytes} bytes")
    except TimeoutError:
        raise BodyTimeout("The body did not arrive in time") from None
    except (web.PayloadAccessError, web.RequestPayloadError):
        raise BadRequest("The body could not be read") from None
    try:
        return decoded(bytes(body).strip() or b"{}", model)
    except BadRequest as error:
        raise BadRequest(f"The body is not what is expected: {error}") from None
