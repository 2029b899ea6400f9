"""What a new leader does before its first tick: it makes ledger, stream and hub agree on what was published."""

from __future__ import annotations

from collections.abc import Sequence

from loguru import logger

from pnl_backend.assembly.hub_feed import HubFeed
from pnl_backend.backlog import BACKLOG
from pnl_backend.bus.protocol import Stream
from pnl_backend.bus.writer import StreamWriter
from pnl_backend.domain.record import Record
from pnl_backend.errors import StoreError
from pnl_backend.ledger.postgres import Store
from pnl_backend.stream.limits import RING

KEPT_UNSTORED = BACKLOG + RING
"""Snapshots that the stream holds while the ledger cannot be written."""


async def agree(store: Store, stream: Stream, feed: HubFeed, writer: StreamWriter) -> None:
    """Store what the ledger lacks of what was published, then give stream and hub what they lack of the ledger.

    The stream ends with this leader's takeover entry: nobody adds anything meanwhile.
    """
    streamed = await _streamed(stream, store.last_seq)
    if not streamed and not feed.followed:
        logger.warning("the stream is empty: what was published and is not in the ledger is not known")
        await store.skip_unpublished()
    lacking = _lacking(streamed, feed.held(), store.last_seq)
    if lacking and not _continues(lacking, store):
        logger.error(
            "the ledger ends at {}-{}, the stream goes on with {}-{}: history was lost, a new epoch begins",
            store.epoch, store.last_seq, lacking[0].epoch, lacking[0].seq,
        )  # fmt: skip
        await store.begin_epoch(lacking[-1].seq)
    else:
        for record in lacking:
            await store.append(record)
        if lacking:
            logger.info("{} snapshots up to {} were stored from the stream", len(lacking), lacking[-1].seq)
    await writer.fill()
    await feed.catch_up(await store.newest(RING))


async def held(store: Store, feed: HubFeed) -> Sequence[Record]:
    """The newest snapshots of this node, oldest first: those of the ledger, and those in the hub that it lacks."""
    try:
        stored = await store.newest(RING)
    except StoreError as error:
        logger.warning("the stream is filled without the ledger, which cannot be read: {}", error)
        return feed.held()
    last = stored[-1].seq if stored else 0
    return [*stored, *(record for record in feed.held() if record.seq > last)]


async def _streamed(stream: Stream, stored: int) -> list[Record]:
    """The snapshots of the stream; all of them where the newest do not reach back to what is `stored`."""
    entries = await stream.newest(RING)
    records = [entry.record for entry in entries if entry.record is not None]
    if records and records[0].seq > stored + 1:
        entries = await stream.newest(KEPT_UNSTORED + RING)
        records = [entry.record for entry in entries if entry.record is not None]
    return records


def _lacking(streamed: Sequence[Record], shown: Sequence[Record], stored: int) -> list[Record]:
    """What follows the number `stored`, by number: from the stream, else what this node has shown of a lost stream."""
    found = {record.seq: record for record in (*shown, *streamed) if record.seq > stored}
    return [found[seq] for seq in sorted(found)]


def _continues(lacking: Sequence[Record], store: Store) -> bool:
    """Whether the ledger can go on with these: of its epoch, from its end on, without a gap."""
    numbers = [record.seq for record in lacking]
    return {record.epoch for record in lacking} == {store.epoch} and numbers == list(
        range(store.last_seq + 1, store.last_seq + 1 + len(numbers))
    )
