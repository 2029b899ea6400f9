"""The circuit breakers as any node of a cluster shows and closes them: they are the leader's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from pnl_backend.assembly.leading import Leading
from pnl_backend.bus.protocol import NodeInfo
from pnl_backend.bus.redis.commands import RedisCommands
from pnl_backend.domain.times import iso
from pnl_backend.errors import BusDown, PnLError
from pnl_backend.settings.model import Settings
from pnl_backend.wire import operations
from pnl_backend.wire.refusals import NotFound

PATIENCE = 3.0
"""Seconds for the leader's answer; it reads what it is asked for once a second at least."""


class NoLeader(PnLError):
    """The breakers cannot be closed, because no node that has them answers."""

    code = "no_leader"
    status = 503
    retryable = True


class ClusterBreakers:
    """`leading` is this node's leading part while it leads, `leader` what the leader says of itself."""

    def __init__(
        self,
        settings: Settings,
        commands: RedisCommands,
        leading: Callable[[], Leading | None],
        leader: Callable[[], NodeInfo | None],
    ) -> None:
        self._config = operations.BreakerConfig(
            settings.circuit_breaker_failure_threshold, settings.circuit_breaker_reset_timeout
        )
        self._commands = commands
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
        """Close one breaker, or all, on this node or by the one that leads; NoLeader if none does, or answers."""
        leading, leader = self._leading(), self._leader()
        if leading is not None:
            return await leading.breakers.reset(service)
        if leader is None:
            raise NoLeader("No node leads at present: there are no breakers to close")
        known = [] if leader.breakers is None else list(leader.breakers.services)
        if service is not None and service not in known:
            raise NotFound(f"Unknown service: {service[:64]} (known: {', '.join(known)})")
        done = await self._commands.ask(leader.id, service, patience=PATIENCE)
        if done is None:
            raise NoLeader(f"Node {leader.id} leads and does not answer: try again")
        return done

    async def serve(self, node: str) -> None:
        """As the leader, do what other nodes ask for."""
        leading = self._leading()
        if leading is None:
            return
        with suppress(BusDown):
            for request in await self._commands.taken(node):
                with suppress(NotFound):
                    await self._commands.answer(request, await leading.breakers.reset(request.service))
