"""The two forms of every REST answer: success around encoded data, failure with message, code and id."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from pnl_backend.domain.times import iso
from pnl_backend.http.response import CompleteResponse

JSON = "application/json"


def success(data: bytes, now_ms: int, *, beside: bytes = b"{}") -> CompleteResponse:
    """200 with data that is JSON already; the fields of the object `beside` stand beside the envelope's own."""
    more = (b",", beside[1:]) if len(beside) > 2 else (b"}",)
    body = b"".join((b'{"success":true,"data":', data, b',"timestamp":"', iso(now_ms).encode(), b'"', *more))
    return CompleteResponse(body, content_type=JSON)


def success_of(data: Any, now_ms: int) -> CompleteResponse:
    """200 with data that is not encoded yet."""
    return success(orjson.dumps(data), now_ms)


def plain(body: Mapping[str, Any], *, status: int = 200) -> CompleteResponse:
    """A body outside the envelope: the health routes and the descriptions."""
    return CompleteResponse(orjson.dumps(body), status=status, content_type=JSON)


def failure(
    status: int,
    message: str,
    code: str,
    *,
    request_id: str,
    now_ms: int,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> CompleteResponse:
    """The failure form; `extra` are further fields of `error` (`retryAfter`, `stack`)."""
    error = {"message": message, "code": code, "id": request_id, **(extra or {})}
    body = orjson.dumps({"success": False, "error": error, "timestamp": iso(now_ms)})
    response = CompleteResponse(body, status=status, content_type=JSON)
    if headers:
        response.headers.update(headers)
    return response


def refusal(status: int, *, request_id: str, now_ms: int, headers: Mapping[str, str] | None = None) -> CompleteResponse:
    """The failure form for a status that says everything itself."""
    phrase = HTTPStatus(status).phrase
    code = phrase.lower().replace(" ", "_")
    return failure(status, phrase, code, request_id=request_id, now_ms=now_ms, headers=headers)
