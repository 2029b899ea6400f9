"""REST answers as responses: success around data, failure with message, code and id."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from pnl_backend.http.response import CompleteResponse
from pnl_backend.wire.answers import ErrorDetail, failure_json, success_json
from pnl_backend.wire.message import Message, encode

JSON = "application/json"


def success(data: bytes, now_ms: int, *, beside: bytes | None = None) -> CompleteResponse:
    """200 with data that is JSON already; the fields of the object `beside` are added to the envelope's own."""
    return CompleteResponse(success_json(data, now_ms, beside=beside), content_type=JSON)


def success_of(data: Message, now_ms: int) -> CompleteResponse:
    """200 with data that is not encoded yet."""
    return success(encode(data), now_ms)


def plain(body: Message, *, status: int = 200) -> CompleteResponse:
    """A body outside the envelope: the health routes."""
    return CompleteResponse(encode(body), status=status, content_type=JSON)


def failure(
    status: int, error: ErrorDetail, *, now_ms: int, headers: Mapping[str, str] | None = None
) -> CompleteResponse:
    """The failure form."""
    response = CompleteResponse(failure_json(error, now_ms), status=status, content_type=JSON)
    if headers:
        response.headers.update(headers)
    return response


def refusal(status: int, *, request_id: str, now_ms: int, headers: Mapping[str, str] | None = None) -> CompleteResponse:
    """The failure body for a status without further detail."""
    phrase = HTTPStatus(status).phrase
    error = ErrorDetail(phrase, phrase.lower().replace(" ", "_"), request_id)
    return failure(status, error, now_ms=now_ms, headers=headers)
