"""One exception tree: what went wrong (code), how HTTP says it (status), whether trying again can help."""

from __future__ import annotations


class PnLError(Exception):
    """Root of every error this server raises on purpose.

    `code` is stable and machine-readable, `status` the HTTP status that tells it, `retryable` whether the same
    call may succeed later. `str(error)` is fit for a log line; it never holds a key.
    """

    code = "internal_error"
    status = 500
    retryable = False


class ConfigError(PnLError):
    """Settings that the server cannot start with; one line a setting."""

    code = "config_error"

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class StartError(PnLError):
    """The server, or the simulator, cannot listen where it was asked to; the message says which setting to change."""

    code = "start_error"


class OutputError(PnLError):
    """A file that a command should write cannot be written."""

    code = "output_error"


class ImportFileError(PnLError):
    """A file that `pnl-backend import` cannot take over; the message says why, in one line."""

    code = "import_error"


class FetchError(PnLError):
    """One upstream call failed; the last good reading stands.

    `retry_after` is the pause in seconds that the upstream asked for, `hint` what a person can do about it.
    """

    code = "upstream_error"
    status = 502
    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None, hint: str | None = None) -> None:
        self.retry_after = retry_after
        self.hint = hint
        super().__init__(message)


class UpstreamTimeout(FetchError):
    """The upstream did not answer within the call's deadline."""

    code = "upstream_timeout"
    status = 504


class UpstreamRateLimited(FetchError):
    """The upstream asked us to slow down (429, or 529 overloaded)."""

    code = "upstream_rate_limited"


class UpstreamAuthError(FetchError):
    """The upstream refused the credentials; `hint` says which kind of key is needed."""

    code = "upstream_auth"
    retryable = False


class InvalidResponse(FetchError):
    """The upstream answered with something that cannot be trusted; the message names the field or the cause."""

    code = "upstream_invalid"


class StoreError(PnLError):
    """The ledger could not be read or written."""

    code = "store_error"
    status = 503
    retryable = True


class BadRequest(PnLError):
    """A parameter is not what the route allows; the message names it."""

    code = "bad_request"
    status = 400


class Unauthorized(PnLError):
    """No key was given."""

    code = "missing_api_key"
    status = 401


class Forbidden(PnLError):
    """A key was given that does not open this."""

    code = "invalid_api_key"
    status = 403


class NotFound(PnLError):
    """No such route or service."""

    code = "not_found"
    status = 404


class RateLimited(PnLError):
    """The client made more requests than its budget allows; `retry_after` is in seconds."""

    code = "rate_limited"
    status = 429
    retryable = True
    reason = "Too many requests"

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(self.reason)
