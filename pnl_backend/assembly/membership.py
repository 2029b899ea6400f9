"""A node among the others: it says what it does, reads who else is there, and watches bus and ledger."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from loguru import logger

from pnl_backend.bus.protocol import NodeInfo, Nodes, Place
from pnl_backend.errors import BusDown, PnLError

LONGEST_BEAT = 1.0
"""Seconds between two beats at most."""
REFRESH = 5.0
"""Seconds between two reads of what another node changes in the ledger, which show whether it can be read, too."""


def new_node_id() -> str:
    """The name of this machine, and letters that tell the nodes on it apart."""
    return f"{socket.gethostname().partition('.')[0]}-{secrets.token_hex(2)}"


class Ledger(Protocol):
    """What is watched of the ledger."""

    async def refresh(self) -> None: ...


class Membership:
    """`describe` gives what this node says of itself; `on_beat` is called after each beat."""

    def __init__(
        self,
        nodes: Nodes,
        top: Callable[[], Awaitable[Place | None]],
        ledger: Ledger,
        *,
        every: float,
        describe: Callable[[], NodeInfo],
        on_top: Callable[[Place | None], None],
        on_beat: Callable[[], Awaitable[None]],
    ) -> None:
        self._nodes = nodes
        self._top = top
        self._ledger = ledger
        self._every = min(every, LONGEST_BEAT)
        self._describe = describe
        self._on_top = on_top
        self._on_beat = on_beat
        self._listed: Sequence[NodeInfo] = ()
        self._refreshed = float("-inf")
        self._ended = False
        self.bus_seen = False
        self.ledger_seen = False
        """Whether each has answered since the start."""
        self.ledger_up = False

    @property
    def listed(self) -> Sequence[NodeInfo]:
        """Every node, this one as it is now."""
        own = self._describe()
        return sorted([own, *(node for node in self._listed if node.id != own.id)], key=lambda node: node.id)

    @property
    def leader(self) -> NodeInfo | None:
        return next((node for node in self.listed if node.leads), None)

    async def beat(self) -> None:
        """One round."""
        await self._refresh()
        try:
            await self._nodes.register(self._describe())
            self._listed = await self._nodes.listed()
            self._on_top(await self._top())
            self.bus_seen = True
        except BusDown:
            self._listed = ()
        await self._on_beat()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Be a member while the block runs."""
        task = asyncio.create_task(self._run(), name="membership")
        try:
            yield
        finally:
            self._ended = True
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            with suppress(BusDown):
                await self._nodes.leave(self._describe().id)

    async def _run(self) -> None:
        while not self._ended:
            try:
                await self.beat()
            except Exception:
                logger.exception("the list of nodes could not be kept")
            await asyncio.sleep(self._every)

    async def _refresh(self) -> None:
        if time.monotonic() - self._refreshed < REFRESH and self.ledger_up:
            return
        self._refreshed = time.monotonic()
        try:
            await self._ledger.refresh()
        except PnLError as error:
            if self.ledger_up:
                logger.warning("the ledger cannot be read: {}", error)
            self.ledger_up = False
        else:
            if not self.ledger_up and self.ledger_seen:
                logger.info("the ledger can be read again")
            self.ledger_up = self.ledger_seen = True
