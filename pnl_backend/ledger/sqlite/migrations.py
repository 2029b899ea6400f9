"""The ledger's schema, as ordered steps: a file's `user_version` is the number of steps that were applied.

Money is INTEGER cents in snapshots and TEXT decimals in facts, never REAL; times are INTEGER ms since the epoch
(UTC), days TEXT `YYYY-MM-DD`. STRICT tables make SQLite refuse anything else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from pnl_backend.ledger.sql.connection import Progress
from pnl_backend.ledger.sqlite import older_names

_LEDGER = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- A sequence number belongs to the newest epoch that began at or before it.
CREATE TABLE epochs (first_seq INTEGER PRIMARY KEY, epoch TEXT NOT NULL UNIQUE) STRICT;

-- Narrow, so that a range of sums reads few pages; what clients saw lies beside it.
CREATE TABLE snapshots (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL,
    net INTEGER NOT NULL, kalshi INTEGER NOT NULL, costs INTEGER NOT NULL, revenue INTEGER NOT NULL
) STRICT;
CREATE INDEX snapshots_at ON snapshots (at);
CREATE TABLE payloads (seq INTEGER PRIMARY KEY, data BLOB NOT NULL, detail BLOB NOT NULL) STRICT;

-- Snapshots that were announced while the ledger could not be written.
CREATE TABLE gaps (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, noted_at INTEGER NOT NULL) STRICT;

-- What each market has brought, kept when the account no longer lists it.
CREATE TABLE market_totals (
    ticker TEXT PRIMARY KEY, realized TEXT NOT NULL, fees TEXT NOT NULL, changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A closed day stands here even when it cost nothing.
CREATE TABLE cost_days (day TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE costs (
    day TEXT NOT NULL, model TEXT, workspace_id TEXT, api_key_id TEXT, amount TEXT NOT NULL
) STRICT;
CREATE INDEX costs_day ON costs (day);
"""

_ROLLUPS = """
CREATE TABLE rollups (
    span INTEGER NOT NULL, start INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    open INTEGER NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL, close INTEGER NOT NULL,
    kalshi INTEGER NOT NULL, costs INTEGER NOT NULL, revenue INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (span, start)
) STRICT, WITHOUT ROWID;

-- Rolled up in batches after this, up to the sequence number that stands here.
INSERT INTO meta VALUES ('rolled_up', '0');
"""

_FACTS = """
-- What a market has brought becomes what is known of it at all.
ALTER TABLE market_totals RENAME TO positions;
ALTER TABLE positions ADD COLUMN quantity TEXT NOT NULL DEFAULT '0';
ALTER TABLE positions ADD COLUMN cost TEXT NOT NULL DEFAULT '0';

CREATE TABLE fills (
    fill_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, ticker TEXT NOT NULL, side TEXT NOT NULL,
    count TEXT NOT NULL, yes_price TEXT NOT NULL, fee TEXT NOT NULL, is_taker INTEGER NOT NULL, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX fills_at ON fills (at);
CREATE INDEX fills_ticker ON fills (ticker, at);

CREATE TABLE settlements (
    key TEXT PRIMARY KEY, ticker TEXT NOT NULL, result TEXT NOT NULL, yes_count TEXT NOT NULL,
    yes_cost TEXT NOT NULL, no_count TEXT NOT NULL, no_cost TEXT NOT NULL, revenue TEXT NOT NULL, value TEXT,
    fee TEXT NOT NULL, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX settlements_at ON settlements (at);

-- Under way until it is final; then it never changes again.
CREATE TABLE transfers (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, id TEXT, amount TEXT NOT NULL, fee TEXT NOT NULL,
    status TEXT NOT NULL, created_at INTEGER, finalized_at INTEGER
) STRICT, WITHOUT ROWID;

-- A row whenever a deal looked different than before.
CREATE TABLE deals (
    id TEXT NOT NULL, seen_at INTEGER NOT NULL, name TEXT NOT NULL, amount TEXT NOT NULL, status TEXT NOT NULL,
    closed_at INTEGER, PRIMARY KEY (id, seen_at)
) STRICT, WITHOUT ROWID;

-- What changed from one snapshot to the next, in cents; it follows from the snapshots and is stored nowhere else.
CREATE VIEW deltas AS
SELECT s.seq, p.seq AS prev_seq, s.at, s.net - p.net AS net, s.kalshi - p.kalshi AS kalshi,
       s.costs - p.costs AS costs, s.revenue - p.revenue AS revenue, p.net AS net_before
FROM snapshots AS s JOIN snapshots AS p ON p.seq = s.seq - 1
WHERE s.net <> p.net OR s.kalshi <> p.kalshi OR s.costs <> p.costs OR s.revenue <> p.revenue;
"""

_SKIPS = """
-- Numbers that were left out after an unclean stop: no snapshot that was stored has one of them.
CREATE TABLE skips (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL UNIQUE, noted_at INTEGER NOT NULL) STRICT;

-- Older versions did not note how they stopped.
INSERT INTO meta SELECT 'running', '0' WHERE EXISTS (SELECT 1 FROM snapshots);

DROP VIEW deltas;
CREATE VIEW deltas AS
SELECT s.seq, p.seq AS prev_seq, s.at, s.net - p.net AS net, s.kalshi - p.kalshi AS kalshi,
       s.costs - p.costs AS costs, s.revenue - p.revenue AS revenue, p.net AS net_before
FROM snapshots AS s JOIN snapshots AS p
  ON p.seq = coalesce((SELECT k.first_seq FROM skips AS k WHERE k.last_seq = s.seq - 1), s.seq) - 1
WHERE s.net <> p.net OR s.kalshi <> p.kalshi OR s.costs <> p.costs OR s.revenue <> p.revenue;
"""

_CORRECTIONS = """
-- What an upstream changed in a fact, or took away; NULL where there was no such fact, or is none any more.
CREATE TABLE corrections (
    at INTEGER NOT NULL, kind TEXT NOT NULL, ref TEXT NOT NULL, before TEXT, after TEXT
) STRICT;
CREATE INDEX corrections_at ON corrections (at);

-- When a closed day was last asked for, and from which report; NULL in ledgers that did not keep it yet.
ALTER TABLE cost_days ADD COLUMN confirmed_at INTEGER;
ALTER TABLE cost_days ADD COLUMN report TEXT;
"""

_WALKS = """
-- How far each list of an account's history was read, from its newest row to its oldest.
CREATE TABLE walks (
    name TEXT PRIMARY KEY, complete_to INTEGER, top INTEGER, bottom INTEGER, rows INTEGER NOT NULL,
    finished_at INTEGER
) STRICT, WITHOUT ROWID;

ALTER TABLE fills ADD COLUMN subaccount INTEGER NOT NULL DEFAULT 0;
ALTER TABLE fills ADD COLUMN time_estimated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE settlements ADD COLUMN subaccount INTEGER NOT NULL DEFAULT 0;
"""

_ACCOUNTS = """
-- The account that a source's facts are of; `name` is its id, or a random text where the upstream gives none.
CREATE TABLE accounts (
    source TEXT PRIMARY KEY, host TEXT NOT NULL, id TEXT, name TEXT NOT NULL, noted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

_TRANSFERS = """
-- What a transfer looked like before, until when.
CREATE TABLE transfer_states (
    key TEXT NOT NULL, until INTEGER NOT NULL, status TEXT NOT NULL, amount TEXT NOT NULL, fee TEXT NOT NULL,
    finalized_at INTEGER
) STRICT;
CREATE INDEX transfer_states_key ON transfer_states (key);

-- Cash that no transfer explains, booked by a person.
CREATE TABLE adjustments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, amount TEXT NOT NULL, kind TEXT NOT NULL,
    reason TEXT NOT NULL, at INTEGER NOT NULL, noted_at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER adjustments_stay BEFORE DELETE ON adjustments
BEGIN SELECT raise(ABORT, 'an adjustment is reversed by another one, never deleted'); END;
CREATE TRIGGER adjustments_are_final BEFORE UPDATE ON adjustments
BEGIN SELECT raise(ABORT, 'an adjustment is reversed by another one, never changed'); END;
"""

_SETTLED_MARKETS = (
    """
-- A market of each subaccount, and whether it has settled: of those in the file, the ones without an open position
-- count as settled until a list of the upstream says otherwise.
DROP VIEW kalshi_trades;
ALTER TABLE positions RENAME TO former_positions;
CREATE TABLE positions (
    ticker TEXT NOT NULL, subaccount INTEGER NOT NULL DEFAULT 0, changed_at INTEGER NOT NULL, realized TEXT NOT NULL,
    fees TEXT NOT NULL, quantity TEXT NOT NULL DEFAULT '0', cost TEXT NOT NULL DEFAULT '0',
    settled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (ticker, subaccount)
) STRICT, WITHOUT ROWID;
INSERT INTO positions
SELECT ticker, 0, changed_at, realized, fees, quantity, cost, CAST(quantity AS REAL) = 0 FROM former_positions;
DROP TABLE former_positions;

-- How far each list of settled markets was read; a cursor is where the next page begins.
CREATE TABLE imports (
    name TEXT PRIMARY KEY, cursor TEXT NOT NULL, done INTEGER NOT NULL, began_at INTEGER NOT NULL,
    saved_at INTEGER NOT NULL, complete_at INTEGER
) STRICT, WITHOUT ROWID;
"""
    + older_names.KALSHI_TRADES
)

_SET_ASIDE = """
-- Facts of an account that the ledger no longer counts, as they were; `account` is its name, NULL if it had none.
CREATE TABLE set_aside (
    at INTEGER NOT NULL, source TEXT NOT NULL, account TEXT, kind TEXT NOT NULL, fact TEXT NOT NULL
) STRICT;
"""

_MARKS = """
-- What to know of a snapshot's figures; each combination stands here once. Names are sorted and parted by commas.
CREATE TABLE marks (
    id INTEGER PRIMARY KEY, complete INTEGER NOT NULL, whole TEXT NOT NULL, not_live TEXT NOT NULL,
    estimated INTEGER NOT NULL, UNIQUE (complete, whole, not_live, estimated)
) STRICT;

-- 0 is no row of `marks`: an imported snapshot, or one whose payload is not read yet.
ALTER TABLE snapshots ADD COLUMN marks INTEGER NOT NULL DEFAULT 0;

-- An interval with any complete snapshot consists of these; `complete` says whether it does.
ALTER TABLE rollups ADD COLUMN complete INTEGER NOT NULL DEFAULT 1;
ALTER TABLE rollups ADD COLUMN not_live TEXT NOT NULL DEFAULT '';
ALTER TABLE rollups ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;
UPDATE rollups SET complete = 0 WHERE first_seq < 0;

-- Snapshots up to `to_seq` stay as they were published, and nothing is compared with them.
CREATE TABLE restatements (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL, to_seq INTEGER NOT NULL
) STRICT;

-- Marked in batches after this, from the payloads, up to the sequence number that stands here.
INSERT INTO meta VALUES ('marked', '0');
"""

_SETTLEMENTS_OF_A_MARKET = """
CREATE INDEX settlements_ticker ON settlements (ticker);
"""

_OUTCOMES = """
-- What a YES contract was worth in USD, of markets that were paid out and whose settlement is in no list any more.
CREATE TABLE outcomes (ticker TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""

_UNCONFIRMED = """
-- Facts that were stored before the ledger noted accounts, until the account lists them too: it may not know them.
CREATE TABLE unconfirmed (kind TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID;
INSERT INTO unconfirmed SELECT 'positions', ticker || ':' || subaccount FROM positions;
INSERT INTO unconfirmed SELECT 'fills', fill_id FROM fills;
INSERT INTO unconfirmed SELECT 'settlements', key FROM settlements;
INSERT INTO unconfirmed SELECT 'transfers', key FROM transfers;

-- Every list is read again from its beginning.
DELETE FROM walks;
DELETE FROM imports;

CREATE TRIGGER positions_confirmed BEFORE INSERT ON positions
BEGIN DELETE FROM unconfirmed WHERE kind = 'positions' AND key = NEW.ticker || ':' || NEW.subaccount; END;
CREATE TRIGGER fills_confirmed BEFORE INSERT ON fills
BEGIN DELETE FROM unconfirmed WHERE kind = 'fills' AND key = NEW.fill_id; END;
CREATE TRIGGER settlements_confirmed BEFORE INSERT ON settlements
BEGIN DELETE FROM unconfirmed WHERE kind = 'settlements' AND key = NEW.key; END;
"""


def _step(script: str) -> Callable[[sqlite3.Connection, Progress], None]:
    def run(connection: sqlite3.Connection, _progress: Progress) -> None:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.execute(statement)

    return run


MIGRATIONS: tuple[Callable[[sqlite3.Connection, Progress], None], ...] = (
    _step(_LEDGER),
    _step(_ROLLUPS),
    _step(_FACTS),
    _step(_SKIPS),
    _step(older_names.TABLES + older_names.VIEWS),
    _step(_CORRECTIONS),
    _step(_WALKS),
    _step(_ACCOUNTS),
    _step(_TRANSFERS),
    _step(_SETTLED_MARKETS),
    _step(_SET_ASIDE),
    _step(_MARKS),
    _step(_SETTLEMENTS_OF_A_MARKET),
    _step(_OUTCOMES),
    _step(_UNCONFIRMED),
)
"""Each step runs in one transaction with its `user_version`; steps are only ever added at the end."""

VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, progress: Progress, *, to: int = VERSION) -> None:
    """Migrate the file to schema `to`, one transaction a step: after a kill at any point, it continues there."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, step in enumerate(MIGRATIONS[version:to], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            step(connection, progress)
            connection.execute(f"PRAGMA user_version = {number}")  # a pragma takes no parameters
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
