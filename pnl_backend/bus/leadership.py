"""Which node leads: the holder of the lease, until it loses it, is replaced, or shuts down.

                 lease free               ledger and stream claimed
    following ───────────────▶ candidate ──────────────────────────▶ leading
        ▲  ▲                       │ they cannot be claimed             │ lease taken by another node, or what
        │  └───────────────────────┘                                    │ was written was refused by a newer fence
        └───────────────────────────────────────────────────────────────┘
    no bus: a node that does not lead and cannot reach Redis; it follows again when it can

The lease decides who tries, the fences who may write: a leader that cannot renew its lease, because Redis is away, goes
on until the ledger or the stream refuses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Literal

from loguru import logger

from pnl_backend.bus.protocol import Lease
from pnl_backend.errors import BusDown, Fenced, StoreError

State = Literal["candidate", "leading", "following", "no bus"]
Change = Literal["won", "lost", "released"]

RENEWALS = 3
"""A lease is renewed so many times before it would end."""
SLACK = 0.02
"""Seconds after the end of a lease at which a candidate tries to take it."""


class Term:
    """The time from one takeover to its end; `end` may be called by whoever learns that another node leads."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()
        self.reason = ""

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def end(self, reason: str) -> None:
        """Step down, for this reason."""
        if not self._ended.is_set():
            self.reason = reason
            self._ended.set()

    async def wait(self) -> None:
        await self._ended.wait()


class Leadership:
    """Runs for the lease and leads while it holds it.

    `lead(term)` is entered as leader and left when the term ends; it raises StoreError or BusDown if the node cannot
    lead now. `lease_seconds` is how long a lease lasts; `on_change` is called with what happened to it, `on_taken_anew`
    after a lease had to be taken anew by the leader that had it.
    """

    def __init__(
        self,
        lease: Lease,
        lead: Callable[[Term], AbstractAsyncContextManager[None]],
        *,
        lease_seconds: float,
        on_change: Callable[[Change], None] = lambda _: None,
        on_taken_anew: Callable[[], None] = lambda: None,
    ) -> None:
        self._lease = lease
        self._lead = lead
        self._every = lease_seconds / RENEWALS
        self._on_change = on_change
        self._on_taken_anew = on_taken_anew
        self._state: State = "following"
        self._stopping = False
        self._term: Term | None = None
        self._problem: str | None = None
        """Why this node did not lead when it had the lease; None before and after."""

    @property
    def state(self) -> State:
        return self._state

    @property
    def problem(self) -> str | None:
        """Why this node could not lead though it had the lease."""
        return self._problem

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run for the lease while the block runs; at its end a leader finishes its tick and gives the lease up."""
        task = asyncio.create_task(self._run(), name="leadership")
        try:
            yield
        finally:
            self._stopping = True
            if self._term is not None:
                self._term.end("this node shuts down")
            else:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while not self._stopping:
            try:
                if await self._lease.acquire():
                    await self._with_lease()
                    wait = self._every
                else:
                    self._enter("following")
                    wait = min(self._every, await self._lease.remaining() + SLACK)
            except BusDown:
                self._enter("no bus")
                wait = self._every
            except Exception:
                logger.exception("leadership: an attempt to lead failed")
                self._enter("following")
                wait = self._every
            if not self._stopping:
                await asyncio.sleep(wait)

    async def _with_lease(self) -> None:
        """Lead until the term ends; give the lease up if this node cannot lead."""
        self._enter("candidate")
        term = self._term = Term()
        renewing = asyncio.create_task(self._renew(term), name="lease")
        led = False
        try:
            async with self._lead(term):
                led, self._problem = True, None
                self._enter("leading")
                self._on_change("won")
                await term.wait()
        except (StoreError, BusDown) as error:
            if str(error) != self._problem:
                logger.warning("leadership: this node cannot lead: {}", error)
            self._problem = None if led or isinstance(error, Fenced) else str(error)
        finally:
            self._term = None
            term.end("it failed")
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            with suppress(BusDown):
                await self._lease.release()
            if led:
                self._on_change("released" if self._stopping else "lost")
                logger.info("leadership: this node does not lead any more: {}", term.reason)
            self._enter("following")

    async def _renew(self, term: Term) -> None:
        """Renew the lease. One that has ended is taken again, unless another node has it: the fences tell the rest."""
        while not term.ended:  # before Python 3.12 the library's wait_for may swallow a cancellation
            await asyncio.sleep(self._every)
            with suppress(BusDown):
                if await self._lease.renew() or term.ended:
                    continue
                if not await self._lease.acquire():
                    term.end("another node has the lease")
                    return
                logger.warning("leadership: the lease had ended, this node has taken it again")
                self._on_taken_anew()

    def _enter(self, state: State) -> None:
        if state != self._state:
            logger.log("DEBUG" if state == "candidate" else "INFO", "leadership: {}, was {}", state, self._state)
            self._state = state
