"""What a period may be compared with: complete snapshots, and none whose history was found wrong later."""

from __future__ import annotations

from collections.abc import Collection

from loguru import logger

from pnl_backend.domain.record import Record, Restatement
from pnl_backend.domain.times import iso
from pnl_backend.ledger.sql import marking, snapshots
from pnl_backend.ledger.sql.connection import Connection, Database
from pnl_backend.ledger.sql.run import Run


class Baselines:
    """The part of the store that finds and withdraws baselines."""

    _database: Database
    _run: Run

    async def last_complete_before(self, at_ms: int, configured: Collection[str]) -> Record | None:
        """The last snapshot before an instant in which each of these sources is whole, and that was not restated.

        Only the seven days before the last snapshot before that instant are searched.
        """
        sql = snapshots.last_complete_before(len(configured))
        return await self._one(sql, at_ms, snapshots.COMPLETE_WITHIN_MS, *snapshots.names(configured))

    async def first_complete(self, from_ms: int, configured: Collection[str]) -> Record | None:
        """The first snapshot at or after an instant in which each of these sources is whole, and not restated."""
        return await self._one(snapshots.first_complete(len(configured)), from_ms, *snapshots.names(configured))

    @property
    def restatements(self) -> tuple[Restatement, ...]:
        """Each reason why older snapshots are no baselines, oldest first."""
        return self._run.restatements

    @property
    def restated_to(self) -> int:
        """The last sequence number that is marked as restated; 0 if none is."""
        return self._run.restated_to

    async def restate(self, source: str, reason: str, at: int) -> Restatement:
        """Mark every snapshot so far as restated: it stays as it was published, and nothing is compared with it.

        `source` is the source whose figures were wrong, `reason` says in a few words why, `at` is in ms. StoreError
        if it could not be stored; nothing is marked then.
        """

        def work(connection: Connection) -> Restatement:
            made = Restatement(at, source, reason, self._run.last_seq)
            marking.restate(connection, made)
            return made

        made = await self._database.write(work)
        self._run.restatements = (*self._run.restatements, made)
        logger.warning(
            "The history up to {} (snapshot {}) is kept as it was published and marked as restated: {}: {}",
            iso(at), made.to_seq, source, reason,
        )  # fmt: skip
        return made

    async def is_whole(self) -> bool:
        """Whether this ledger has held the account's whole history since a snapshot that it noted."""
        return bool(await self._database.read("SELECT 1 FROM meta WHERE key = 'whole'"))

    async def note_whole(self) -> None:
        """Note that from the next snapshot on it does; StoreError if that cannot be stored."""
        sql = "INSERT INTO meta VALUES ('whole', ?) ON CONFLICT DO NOTHING"
        await self._database.write(lambda connection: connection.execute(sql, (str(self._run.last_seq + 1),)))

    async def _one(self, sql: str, *parameters: object) -> Record | None:
        rows = await self._database.read(sql, parameters)
        return self._run.epochs.record(rows[0]) if rows else None
