"""Why a request is refused for what it asks."""

from __future__ import annotations

from pnl_backend.errors import PnLError


class BadRequest(PnLError):
    """A parameter has a value that the route does not allow; the message names it."""

    code = "bad_request"
    status = 400


class NotFound(PnLError):
    """No such route or service."""

    code = "not_found"
    status = 404


class BodyTimeout(PnLError):
    """The body did not arrive in time."""

    code = "request_timeout"
    status = 408


class PayloadTooLarge(PnLError):
    """The body exceeds what the route reads."""

    code = "payload_too_large"
    status = 413
