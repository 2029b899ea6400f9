"""The circuit breakers as any node of a cluster shows them: they are the leader's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pnl_backend.assembly.leading import Leading
from pnl_backend.bus.protocol import NodeInfo
from pnl_backend.domain.times import iso
from pnl_backend.errors import PnLError
from pnl_backend.settings.model import Settings
from pnl_backend.wire import operations


class NotLeading(PnLError):
    """Another node has what is to be changed; the message names it."""

    code = "not_leading"
    status = 409
    retryable = True


class ClusterBreakers:
    """`leading` is this node's leading part while it leads, `leader` what the leader says of itself."""

    def __init__(
        self, settings: Settings, leading: Callable[[], Leading | None], leader: Callable[[], NodeInfo | None]
    ) -> None:
        self._config = operations.BreakerConfig(
            settings.circuit_breaker_failure_threshold, settings.circuit_breaker_reset_timeout
        )
        self._leading = leading
        self._leader = leader

    def status(self) -> operations.Breakers:
        leading, leader = self._leading(), self._leader()
        if leading is not None:
            return leading.breakers.status()
        if leader is not None and leader.breakers:
            return leader.breakers
        return operations.Breakers(iso(int(time.time() * 1000)), {}, self._config)

    async def reset(self, service: str | None = None, /) -> Sequence[str]:
        leading, leader = self._leading(), self._leader()
        if leading is not None:
            return await leading.breakers.reset(service)
        where = f"node {leader.id} leads" if leader is not None else "no node leads at present"
        raise NotLeading(f"The breakers are the leader's, and this node does not lead: {where}")
