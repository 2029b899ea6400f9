"""Why a request is refused for who sends it, or how often."""

from __future__ import annotations

from pnl_backend.errors import PnLError


class Unauthorized(PnLError):
    """No key was given."""

    code = "missing_api_key"
    status = 401


class Forbidden(PnLError):
    """The given key does not permit this."""

    code = "invalid_api_key"
    status = 403


class RateLimited(PnLError):
    """The client made more requests than its limit allows; `retry_after` is in seconds."""

    code = "rate_limited"
    status = 429
    retryable = True
    reason = "Too many requests"

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(self.reason)
