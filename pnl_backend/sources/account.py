"""How a fetcher has the account that answers held against the one whose facts the ledger holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from pnl_backend.domain.accounts import Evidence

Recognise = Callable[[Evidence], Awaitable[Sequence[str]]]
"""Which of the ledger's facts the account has, in words (`fill 81f0`); raises FetchError where it does not answer."""


class AccountIdentity(Protocol):
    """Compares the account that answers with the account of the ledger."""

    async def confirm(self, account: str | None = None, recognise: Recognise | None = None) -> None:
        """Return if the ledger's facts are those of this account; raises AccountChanged if not.

        To be awaited in every fetch before anything is written or returned; repeated calls are cheap. `account` is the
        upstream's own id of it; where that does not decide, `recognise` is asked about facts of the ledger.
        """


class AnyAccount:
    """Accepts every account; for uses that keep nothing."""

    async def confirm(self, account: str | None = None, recognise: Recognise | None = None) -> None:
        """Accept it."""


def host_of(url: str) -> str:
    """Host and port of a URL, in lower case, the port left out where it is the scheme's own."""
    parts = urlsplit(url)
    port = None if parts.port == {"http": 80, "https": 443}.get(parts.scheme) else parts.port
    return f"{parts.hostname}:{port}" if port else str(parts.hostname)
