"""What the ledger's tests share: an instant to count from and the types of the fixtures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pnl_backend.domain.record import Record
from pnl_backend.ledger.sqlite import Store

NOON = 1_772_020_800_000
"""2026-02-25T12:00:00Z"""

OpenStore = Callable[..., Awaitable[Store]]
MakeRecord = Callable[..., Record]
