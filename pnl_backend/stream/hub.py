"""The hub: one committed snapshot in, every transport out; the newest held for the next subscriber.

Publications are numbered by the ledger. The hub keeps the last ones in a ring and asks the store for older ones, so
that a subscriber that gives its last update gets exactly what it missed, or an answer that it cannot.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from itertools import islice
from typing import Protocol

from loguru import logger

from pnl_backend.domain.delta import Sums, sums
from pnl_backend.domain.freshness import RESTORED, STALLED, aged
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.domain.times import iso
from pnl_backend.errors import PnLError
from pnl_backend.stream.limits import PAGE, RING
from pnl_backend.wire.ledger_feed import Ledger, LedgerFigures, ledger
from pnl_backend.wire.message import as_model, encode_kept
from pnl_backend.wire.views import breakdown_json, from_record, snapshot_view


class Publication:
    """One snapshot to be sent; each shape is built once, when the first transport requests it."""

    def __init__(
        self,
        snapshot: Snapshot,
        record: Record,
        *,
        published: float | None = None,
        stale_after: float = math.inf,
        in_burst: bool = False,
    ) -> None:
        """`published` is when, on the monotonic clock of this process; None for one read back from the ledger.

        `stale_after` is how many seconds later, with nothing newer published, its sources are not live any more.
        `in_burst` is whether it follows the one before so closely that a client which polls cannot have taken that.
        """
        self.snapshot = snapshot
        self.record = record
        self.published = published
        self.in_burst = in_burst
        self._stale_after = stale_after
        self._now: tuple[int, Snapshot, bytes] | None = None

    @classmethod
    def of(cls, record: Record) -> Publication:
        """A publication read back from the ledger."""
        return cls(from_record(record), record)

    @property
    def age(self) -> int:
        """Whole seconds since it was computed."""
        if self.published is None:
            return int(max(0.0, time.time() - self.record.at / 1000))
        return int(time.monotonic() - self.published)

    @property
    def now(self) -> Snapshot:
        """The snapshot with the ages of its sources as they are now; up to a second old."""
        return self._as_of_now()[0]

    @property
    def snapshot_json(self) -> bytes:
        """`now` as JSON; as it was committed while it is less than a second old. Encoded once a second."""
        return self._as_of_now()[1]

    @property
    def aged_json(self) -> bytes | None:
        """`now` as JSON where it differs from what was committed; else None."""
        age = self.age
        return None if age == 0 and self.published is not None else self._as_of(age)[1]

    def _as_of_now(self) -> tuple[Snapshot, bytes]:
        return self._as_of(self.age)

    def _as_of(self, age: int) -> tuple[Snapshot, bytes]:
        if self._now is None or self._now[0] != age:
            not_live = RESTORED if self.published is None else STALLED if age >= self._stale_after else None
            if age == 0 and not_live is None:
                self._now = age, self.snapshot, self.record.data
            else:
                shown = aged(self.snapshot, age * 1000, not_live)
                self._now = age, shown, encode_kept(snapshot_view(shown))
        return self._now[1:]

    @property
    def seq(self) -> int:
        return self.record.seq

    @property
    def timestamp(self) -> str:
        return iso(self.record.at)

    @cached_property
    def sums(self) -> Sums:
        return sums(self.record)

    @cached_property
    def breakdown_json(self) -> bytes:
        return breakdown_json(self.snapshot)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger feed's snapshot."""
        return ledger(self.snapshot)

    @cached_property
    def ledger_json(self) -> bytes:
        return encode_kept(self.ledger)

    @cached_property
    def figures_json(self) -> bytes:
        """The ledger without its time and sequence number, as REST adds it to its envelope."""
        return encode_kept(as_model(self.ledger, LedgerFigures))


class Replay(Protocol):
    """What the hub reads from the store."""

    async def since(self, epoch: str, seq: int, *, limit: int) -> Sequence[Record] | None:
        """The next records after `(epoch, seq)`, `limit` at most; None when they are not held."""

    async def holds(self, epoch: str, seq: int, last: int) -> bool:
        """Whether every record after `(epoch, seq)` up to `last` is held."""


class Sink(Protocol):
    """A transport: it is called with each publication in order, and once when updates stop."""

    async def publish(self, publication: Publication) -> None: ...

    async def stream_error(self) -> None: ...


class Hub:
    """Holds the newest publication, passes each one to the sinks, and answers what was missed."""

    def __init__(
        self, replay: Replay, *, ring: int = RING, stale_after: float = math.inf, burst_within: float = 0.0
    ) -> None:
        """`stale_after` is how many seconds without a new publication make the newest one's sources not live.

        Publications less than `burst_within` seconds after the one before are a burst, as after an outage.
        """
        self._replay = replay
        self._burst_within = burst_within
        self._passed_on = -math.inf
        self._stale_after = stale_after
        self._ring: deque[Publication] = deque(maxlen=ring)
        self._sinks: list[Sink] = []
        self._latest: Publication | None = None

    @property
    def latest(self) -> Publication:
        """The newest publication; the app restores or computes one before any listener starts."""
        if self._latest is None:
            raise RuntimeError("nothing was published yet")
        return self._latest

    def json(self, view: str, /) -> bytes | None:
        """The newest `snapshot`, `breakdown` or `figures` as JSON, encoded once a second at most; None before any."""
        if self._latest is None:
            return None
        encoded: bytes = getattr(self._latest, f"{view}_json")
        return encoded

    def aged(self, view: str, /) -> bytes | None:
        """The newest `snapshot` where it is no longer as it was published; None for every other view."""
        if view != "snapshot" or self._latest is None:
            return None
        return self._latest.aged_json

    @property
    def held(self) -> Sequence[Publication]:
        """The publications in memory, oldest first; their numbers follow one another."""
        return tuple(self._ring)

    def attach(self, sink: Sink) -> None:
        self._sinks.append(sink)

    def restore(self, record: Record) -> None:
        """Serve the last snapshot of the run before until a fresh one exists."""
        self._latest = Publication.of(record)
        self._ring.append(self._latest)

    def load(self, snapshot: Snapshot, record: Record, published: float) -> None:
        """Hold what was published before, on the monotonic clock, without passing it on."""
        self._hold(Publication(snapshot, record, published=published, stale_after=self._stale_after))

    async def publish(self, snapshot: Snapshot, record: Record, *, age: float = 0.0) -> None:
        """Hand a committed snapshot to every sink; one that fails neither stops the others nor the caller."""
        now = time.monotonic()
        in_burst, self._passed_on = now - self._passed_on < self._burst_within, now
        publication = Publication(
            snapshot, record, published=now - age, stale_after=self._stale_after, in_burst=in_burst
        )
        self._hold(publication)
        await self._tell(lambda sink: sink.publish(publication))

    async def stream_error(self) -> None:
        await self._tell(lambda sink: sink.stream_error())

    async def holds(self, epoch: str, seq: int) -> bool:
        """Whether everything after `(epoch, seq)` can be replayed: in the ring, or in the ledger up to where it begins.

        False for another epoch, the future, and whatever is not held without a gap.
        """
        if not self._comparable(epoch, seq):
            return False
        if self._ring_reaches(seq):
            return True
        try:
            return await self._replay.holds(epoch, seq, self._ring[0].seq - 1)
        except PnLError as error:
            logger.warning("what a client missed could not be read: {}", error)
            return False

    async def page(self, epoch: str, seq: int, *, limit: int = PAGE) -> list[Publication] | None:
        """The next publications after `(epoch, seq)`, oldest first; none when that is the newest, None when not held.

        A replay reads page after page, the older ones from the ledger, so that it takes as little memory as a page.
        """
        if not self._comparable(epoch, seq):
            return None
        if self._ring_reaches(seq):
            start = seq + 1 - self._ring[0].seq
            return list(islice(self._ring, start, start + limit))
        try:
            records = await self._replay.since(epoch, seq, limit=limit)
        except PnLError as error:
            logger.warning("what a client missed could not be read: {}", error)
            return None
        return [Publication.of(record) for record in records] if records else None

    def _hold(self, publication: Publication) -> None:
        if self._latest is not None and not _follows(publication.record, self._latest.record):
            self._ring.clear()
        self._latest = publication
        self._ring.append(publication)

    def _comparable(self, epoch: str, seq: int) -> bool:
        return epoch == self.latest.record.epoch and 0 <= seq <= self.latest.seq

    def _ring_reaches(self, seq: int) -> bool:
        return seq >= self._ring[0].seq - 1

    async def _tell(self, call: Callable[[Sink], Awaitable[None]]) -> None:
        for sink in self._sinks:
            try:
                await call(sink)
            except Exception:
                logger.exception("a transport failed to pass on an update")


def _follows(record: Record, before: Record) -> bool:
    return record.epoch == before.epoch and record.seq == before.seq + 1
