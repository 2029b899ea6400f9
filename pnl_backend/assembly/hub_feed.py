"""What reaches the hub of a node in a cluster: each snapshot once and in order, whichever way it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from loguru import logger

from pnl_backend.bus.protocol import Entry
from pnl_backend.domain.readings import SourceName
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.errors import PnLError
from pnl_backend.stream.hub import Hub
from pnl_backend.wire.views import from_record

AT_ONCE = 50
"""Snapshots that are decoded at the start before other work has its turn."""


class Ledger(Protocol):
    """Where snapshots are read that the stream does not hold any more."""

    async def since(self, epoch: str, seq: int, *, limit: int = 1000) -> Sequence[Record] | None: ...


class HubFeed:
    """The loop of a leader publishes through it, and every entry of the stream passes it; what the hub has is left out.

    Where numbers are missing in between they are read from the stream, else from the ledger; where neither has them
    the hub goes on after a jump, and a client that asks for them is told so. `on_takeover` is called with the id of
    each node that takes over, `on_configured` with the sources that the leader has configured.
    """

    def __init__(
        self,
        hub: Hub,
        ledger: Ledger,
        newest: Callable[[], Awaitable[Sequence[Entry]]],
        *,
        on_takeover: Callable[[str], None] = lambda _: None,
        on_configured: Callable[[frozenset[SourceName]], None] = lambda _: None,
    ) -> None:
        self._hub = hub
        self._ledger = ledger
        self._newest = newest
        self._on_takeover = on_takeover
        self._on_configured = on_configured
        self._configured: frozenset[SourceName] | None = None
        self._former: set[str] = set()
        self._turn = asyncio.Lock()
        self._filled = False
        self._unreadable = False
        self.fence = 0
        """The fence of the newest entry that was read."""
        self.followed = False
        """Whether a snapshot of the stream was read."""
        self.updated: float | None = None
        """When the newest snapshot was published, on the monotonic clock; None before any."""

    @property
    def seq(self) -> int:
        """The number of the newest snapshot in the hub; 0 before any."""
        return self._hub.latest.seq if self._filled else 0

    def restore(self, record: Record) -> None:
        """Show a snapshot of the ledger where the hub has nothing newer."""
        if not self._filled:
            self._hub.restore(record)
            self._filled = True

    def show(self, record: Record) -> None:
        """Show this until there is a real snapshot."""
        if not self._filled:
            self._hub.restore(record)

    async def publish(self, snapshot: Snapshot, record: Record) -> None:
        """Publish what this node has computed and committed."""
        async with self._turn:
            if self._is_new(record):
                await self._publish(snapshot, record)

    async def stream_error(self) -> None:
        await self._hub.stream_error()

    async def take(self, entries: Sequence[Entry]) -> None:
        """Take the next entries of the stream; of the first ones all but the last are held for replays alone."""
        async with self._turn:
            for entry in entries:
                self.fence = max(self.fence, entry.place.fence)
                if entry.record is None:
                    self._on_takeover(entry.leader)
            snapshots = [entry for entry in entries if entry.record is not None]
            if not self._filled:
                await self._load(snapshots[:-1])
                del snapshots[:-1]
            self.followed = self.followed or bool(snapshots)
            for entry in snapshots:
                self._note_configured(entry.configured)
                if entry.record is not None and self._is_new(entry.record):
                    await self._fill_before(entry.record)
                    await self._publish_record(entry.record)

    async def _load(self, entries: Sequence[Entry]) -> None:
        for number, entry in enumerate(entries):
            if entry.record is not None and (snapshot := self._decoded(entry.record)) is not None:
                self._hub.load(snapshot, entry.record, time.monotonic() - _age(entry.record))
                self._filled = True
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    async def catch_up(self, records: Sequence[Record]) -> None:
        """Publish what the hub lacks of these, oldest first."""
        async with self._turn:
            for record in records:
                if self._is_new(record):
                    await self._publish_record(record)

    def held(self) -> list[Record]:
        """The records of the hub, oldest first."""
        return [publication.record for publication in self._hub.held] if self._filled else []

    def _is_new(self, record: Record) -> bool:
        if not self._filled:
            return True
        latest = self._hub.latest.record
        if record.epoch == latest.epoch:
            return record.seq > latest.seq
        return record.epoch not in self._former

    async def _publish(self, snapshot: Snapshot, record: Record) -> None:
        if self._filled and self._hub.latest.record.epoch != record.epoch:
            former = self._hub.latest.record
            logger.warning("the epoch is {} from now on, was {}: history was lost", record.epoch, former.epoch)
            self._former.add(former.epoch)
        # At the start the newest entry is read some time after it was added.
        age = 0.0 if self.updated is not None else _age(record)
        self._filled, self._unreadable = True, False
        self.updated = time.monotonic() - age
        await self._hub.publish(snapshot, record, age=age)

    async def _publish_record(self, record: Record) -> None:
        snapshot = self._decoded(record)
        if snapshot is not None:
            await self._publish(snapshot, record)

    def _decoded(self, record: Record) -> Snapshot | None:
        """The snapshot of a record; None, and an error in the log, for one that this version cannot read."""
        try:
            return from_record(record)
        except ValueError as error:
            if not self._unreadable:
                logger.error("an update cannot be read, another version made it: {}", error)
            self._unreadable = True
            return None

    async def _fill_before(self, record: Record) -> None:
        """Publish what lies between the hub's newest and this record, if it can be had."""
        if not self._filled or self._hub.latest.record.epoch != record.epoch or record.seq == self.seq + 1:
            return
        first = self.seq + 1
        try:
            missing = await self._missing(record)
        except PnLError as error:
            logger.warning("snapshots {} to {} are missing and cannot be read: {}", first, record.seq - 1, error)
            return
        for each in missing:
            await self._publish_record(each)

    async def _missing(self, record: Record) -> Sequence[Record]:
        """The records between the hub's newest and this one: from the stream if all are in it, else from the ledger."""
        after, epoch = self.seq, record.epoch
        held = [entry.record for entry in await self._newest() if entry.record is not None]
        found = [each for each in held if each.epoch == epoch and after < each.seq < record.seq]
        if len(found) == record.seq - after - 1:
            return found
        stored = await self._ledger.since(epoch, after, limit=record.seq - after) or []
        return [each for each in stored if each.seq < record.seq]

    def _note_configured(self, configured: frozenset[SourceName]) -> None:
        if configured != self._configured:
            self._configured = configured
            self._on_configured(configured)


def _age(record: Record) -> float:
    """Seconds since a snapshot was computed, by the wall clock."""
    return max(0.0, time.time() - record.at / 1000)
