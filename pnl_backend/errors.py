"""The tree of exceptions: each has a code, an HTTP status, and whether a retry can help."""

from __future__ import annotations


class PnLError(Exception):
    """Root of every error this server raises on purpose.

    `code` is stable and machine-readable, `status` the HTTP status of the response, `retryable` whether the same
    call may succeed later. `str(error)` can be logged: it never contains a key.
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
    """The server, or the simulator, cannot listen on the address; the message says which setting to change."""

    code = "start_error"


class OutputError(PnLError):
    """The output file of a command cannot be written."""

    code = "output_error"


class ImportFileError(PnLError):
    """A file that `pnl-backend import` cannot import; the message says why, in one line."""

    code = "import_error"


class FetchError(PnLError):
    """One upstream call failed; the last good reading stays in use.

    `retry_after` is the upstream's Retry-After in seconds, `hint` what the operator can do.
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


class UpstreamNotFound(FetchError):
    """The upstream has nothing at this address (404)."""


class UpstreamRateLimited(FetchError):
    """The upstream limited the rate (429), or is overloaded (529)."""

    code = "upstream_rate_limited"


class UpstreamAuthError(FetchError):
    """The upstream refused the credentials; `hint` says which kind of key is needed."""

    code = "upstream_auth"
    retryable = False


class InvalidResponse(FetchError):
    """The upstream's response is invalid; the message names the field or the cause."""

    code = "upstream_invalid"


class AccountChanged(FetchError):
    """The upstream answers for another account than the one whose facts the ledger holds; nothing of it is used.

    The message names the two ways out, `hint` what differs.
    """

    code = "account_changed"
    status = 409
    retryable = False


class StoreError(PnLError):
    """The ledger could not be read or written."""

    code = "store_error"
    status = 503
    retryable = True


class Fenced(StoreError):
    """Another node leads: what this one wrote was refused, by the ledger or by the stream; it must not publish.

    `fence` is the one that was newer, if it is known.
    """

    code = "fenced"
    retryable = False

    def __init__(self, message: str, *, fence: int | None = None) -> None:
        self.fence = fence
        super().__init__(message)


class BusDown(PnLError):
    """The Redis that connects the nodes of a cluster does not answer, or refuses what it is asked for."""

    code = "bus_down"
    status = 503
    retryable = True
