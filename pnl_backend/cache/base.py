"""The interface of a cache tier: its protocol, its entries, and the one error it may raise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pnl_backend.domain.readings import Tier
from pnl_backend.errors import PnLError
from pnl_backend.wire.operations import TierStatus

MAX_PER_FAMILY = 256
"""Last known good values that are kept of each family of keys."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One cached value; `ttl` is its remaining time to live in seconds, 0 for an expired last known good value."""

    value: bytes
    ttl: float


@dataclass(frozen=True, slots=True)
class CacheHit:
    """A cached value and the tier that returned it; `fallback` means the last known good value, whatever its age."""

    value: bytes
    tier: Tier


class TierError(PnLError):
    """A call to one tier failed; the tiered cache counts it and continues without that tier."""

    code = "cache_error"
    retryable = True


class TierDown(TierError):
    """The tier is known to be down, so the call was not made."""


class CacheTier(Protocol):
    """One place where values are kept by key.

    Calls end within the tier's own time limit, and raise nothing but `TierError`. `ttl` is in seconds and > 0.
    """

    @property
    def name(self) -> Tier: ...

    @property
    def status(self) -> TierStatus: ...

    async def get(self, key: str) -> Entry | None: ...

    async def set(self, key: str, value: bytes, ttl: float) -> None: ...

    async def delete(self, key: str) -> None: ...

    async def delete_prefix(self, prefix: str) -> None: ...

    async def clear(self) -> None: ...

    async def close(self) -> None: ...

    def size(self) -> int | None:
        """Keys held, as last counted; None where that is not known."""
        ...


def family(key: str) -> str:
    """The key's part before the first colon; keys are counted by family."""
    return key.partition(":")[0]
