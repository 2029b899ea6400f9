"""The check of a presented key on every transport, with a limit on wrong ones for each client address."""

from __future__ import annotations

import time
from collections.abc import Callable

from loguru import logger

from pnl_backend.access.keys import Grant, Keys, Scope
from pnl_backend.access.ratelimit import CLIENTS, RateLimiter
from pnl_backend.access.refusals import Forbidden, RateLimited

WRONG_KEYS_PER_MINUTE = 10
"""Wrong keys that one address (IPv6: one /64 network) may present in any 60 s, on all transports together."""
LOG_INTERVAL = 3600.0
"""Seconds for which an address is logged only once."""
LOGGED_ADDRESSES = 1000


class TooManyWrongKeys(RateLimited):
    """The key is wrong, and the address has presented too many wrong ones lately."""

    code = "too_many_wrong_keys"
    reason = "Too many wrong API keys"


class Authenticator:
    """Checks keys for REST and sockets. A right key always passes, also beside wrong ones from the same address.

    A wrong key is counted by `on_wrong` ("refused", or "limited" beyond the limit) and logged once for each address.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        on_wrong: Callable[[str], None] = lambda _: None,
        limit: int = WRONG_KEYS_PER_MINUTE,
        addresses: int = CLIENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keys = keys
        self._on_wrong = on_wrong
        self._wrong = RateLimiter(limit, clients=addresses, clock=clock)
        self._log_lines = RateLimiter(1, clients=LOGGED_ADDRESSES, window=LOG_INTERVAL, clock=clock)

    def check(self, key: str | None, address: str, *, scope: Scope = "read") -> Grant:
        """What a key presented from an address opens.

        Raises Unauthorized without a key, Forbidden with a wrong one or one that is not enough, TooManyWrongKeys.
        """
        try:
            return self.keys.check(key, scope=scope)
        except Forbidden as error:
            if key is None or self.keys.knows(key):
                raise
            decision = self._wrong.take(b"", address)
            self._on_wrong("refused" if decision.admitted else "limited")
            if self._log_lines.take(b"", address).admitted:
                logger.warning("Wrong API key from {}; further ones from there are only counted", address)
            if not decision.admitted:
                raise TooManyWrongKeys(decision.retry_after) from error
            raise
