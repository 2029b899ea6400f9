"""Pages of snapshots for clients that continue after a gap in their connection: all of them, or none."""

from __future__ import annotations

from pnl_backend.domain.record import Record
from pnl_backend.ledger.sql import snapshots
from pnl_backend.ledger.sql.connection import Database
from pnl_backend.ledger.sql.run import Run


async def page(database: Database, run: Run, seq: int, limit: int) -> list[Record] | None:
    """The next snapshots after `seq` in the run's epoch, oldest first, `limit` at most; None where one is not held."""
    last = run.last_seq
    if not run.epochs.current_start - 1 <= seq <= last:
        return None
    records = run.epochs.records(await database.read(snapshots.FROM_SEQ, (seq, limit + 1)))
    if records and records[0].seq == seq:
        del records[0]
    elif not _is_before_the_first(run, seq):
        return None
    del records[limit:]
    due = min(last - seq - run.skips.between(seq, last), limit)
    newest = records[-1].seq if records else seq
    complete = len(records) >= due and len(records) == newest - seq - run.skips.between(seq, newest)
    return records if complete else None


async def holds(database: Database, run: Run, seq: int, last: int) -> bool:
    """Whether `seq` of the run's epoch and every snapshot after it up to `last` is held."""
    if not run.epochs.current_start - 1 <= seq <= last <= run.last_seq:
        return False
    ((count, held),) = await database.read(snapshots.COUNT, (seq, last))
    complete = count == last - seq - run.skips.between(seq, last)
    return complete and (bool(held) or _is_before_the_first(run, seq))


def _is_before_the_first(run: Run, seq: int) -> bool:
    """Whether no snapshot ever had this number, and the next one begins the epoch or follows a skip."""
    return seq == run.epochs.current_start - 1 or run.skips.ends_at(seq)
