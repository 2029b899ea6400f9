"""SQL views with the table names of the Node server, so that queries that were written for it still work.

Amounts are in dollars and times in ms, in the columns that its documents name. Imported rows are shown where the
ledger has no row of its own for the same market, month or deal.
"""

from __future__ import annotations

TABLES = """
-- What an older server had stored. Its snapshots stand among the others under negative numbers, with no payload, so
-- that nothing replays them and nothing is measured against them; `snapshots.seq < 0` tells them apart.
CREATE TABLE imported_snapshots (seq INTEGER PRIMARY KEY, trades INTEGER, taken_at INTEGER NOT NULL) STRICT;

-- Facts that cannot be told apart from those that the sources give: history, and part of no figure.
CREATE TABLE imported_trades (
    id TEXT PRIMARY KEY, symbol TEXT NOT NULL, side TEXT, quantity TEXT, entry_price TEXT, current_price TEXT,
    status TEXT, realized TEXT, at INTEGER, created_at TEXT, taken_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE imported_costs (
    id TEXT PRIMARY KEY, month TEXT NOT NULL, amount TEXT NOT NULL, tokens INTEGER, at INTEGER, created_at TEXT,
    taken_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE imported_deals (
    id TEXT PRIMARY KEY, name TEXT, closed_date TEXT, amount TEXT NOT NULL, status TEXT, at INTEGER, created_at TEXT,
    taken_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

DROP VIEW deltas;
CREATE VIEW deltas AS
SELECT s.seq, p.seq AS prev_seq, s.at, s.net - p.net AS net, s.kalshi - p.kalshi AS kalshi,
       s.costs - p.costs AS costs, s.revenue - p.revenue AS revenue, p.net AS net_before
FROM snapshots AS s JOIN snapshots AS p
  ON p.seq = coalesce((SELECT k.first_seq FROM skips AS k WHERE k.last_seq = s.seq - 1), s.seq) - 1
WHERE s.seq > 0 AND (s.net <> p.net OR s.kalshi <> p.kalshi OR s.costs <> p.costs OR s.revenue <> p.revenue);
"""

_SNAPSHOTS = """
CREATE VIEW pnl_snapshots AS
SELECT s.at AS timestamp, s.kalshi / 100.0 AS kalshi_pnl, s.costs / 100.0 AS total_costs,
       s.revenue / 100.0 AS total_revenue, s.net / 100.0 AS net_pnl,
       iif(s.seq < 0,
           (SELECT i.trades FROM imported_snapshots AS i WHERE i.seq = s.seq),
           (SELECT json_extract(CAST(p.data AS TEXT), '$.components.kalshi.positions')
                 + json_extract(CAST(p.detail AS TEXT), '$.closed')
            FROM payloads AS p WHERE p.seq = s.seq)) AS trade_count,
       datetime(s.at / 1000, 'unixepoch') AS created_at
FROM snapshots AS s;

-- From each snapshot that is held to the next, but never from an older server's to one of this server's.
CREATE VIEW pnl_deltas AS
SELECT s.at AS timestamp, (s.net - p.net) / 100.0 AS net_pnl_delta, (s.kalshi - p.kalshi) / 100.0 AS kalshi_delta,
       (s.costs - p.costs) / 100.0 AS costs_delta, (s.revenue - p.revenue) / 100.0 AS revenue_delta,
       datetime(s.at / 1000, 'unixepoch') AS created_at
FROM snapshots AS s
JOIN snapshots AS p ON p.seq = (SELECT max(b.seq) FROM snapshots AS b WHERE b.seq < s.seq)
WHERE (s.seq < 0) = (p.seq < 0);

CREATE VIEW pnl_aggregates AS
SELECT r.start AS bucket_timestamp,
       CASE r.span WHEN 60000 THEN '1m' WHEN 300000 THEN '5m' WHEN 900000 THEN '15m' WHEN 3600000 THEN '1h'
           WHEN 14400000 THEN '4h' WHEN 86400000 THEN '1d' WHEN 604800000 THEN '1w' END AS period,
       r.kalshi / 100.0 AS kalshi_pnl, r.costs / 100.0 AS costs, r.revenue / 100.0 AS revenue,
       r.close / 100.0 AS net_pnl,
       (SELECT count(*) FROM fills AS f WHERE f.at >= r.start AND f.at < r.start + r.span) AS trade_count,
       r.start + r.span AS created_at
FROM rollups AS r;

"""

KALSHI_TRADES = """
-- A row for each market. The ledger keeps no price of an open market, so `current_price` is NULL.
CREATE VIEW kalshi_trades AS
SELECT p.ticker AS id, p.ticker AS symbol, iif(CAST(p.quantity AS REAL) < 0, 'sell', 'buy') AS side,
       abs(CAST(p.quantity AS REAL)) AS quantity,
       round(CAST(p.cost AS REAL) / nullif(abs(CAST(p.quantity AS REAL)), 0), 6) AS entry_price,
       NULL AS current_price, iif(CAST(p.quantity AS REAL) = 0, 'closed', 'open') AS status,
       round(CAST(p.realized AS REAL), 6) AS realized_pnl, p.changed_at AS timestamp,
       datetime(coalesce((SELECT min(f.at) FROM fills AS f WHERE f.ticker = p.ticker), p.changed_at) / 1000,
                'unixepoch') AS created_at
FROM positions AS p
UNION ALL
SELECT i.id, i.symbol, i.side, CAST(i.quantity AS REAL), CAST(i.entry_price AS REAL), CAST(i.current_price AS REAL),
       i.status, CAST(i.realized AS REAL), i.at, i.created_at
FROM imported_trades AS i
WHERE NOT EXISTS (SELECT 1 FROM positions AS p WHERE p.ticker IN (i.symbol, i.id));
"""

_REST = """
-- A row for each month, of days that are closed and of the one that is running.
CREATE VIEW anthropic_costs AS
SELECT substr(c.day, 1, 7) AS id, substr(c.day, 1, 7) AS month, round(sum(CAST(c.amount AS REAL)), 6) AS total_cost,
       NULL AS tokens_used, CAST(strftime('%s', max(c.day)) AS INTEGER) * 1000 AS timestamp,
       min(c.day) || ' 00:00:00' AS created_at
FROM costs AS c GROUP BY substr(c.day, 1, 7)
UNION ALL
SELECT i.id, i.month, CAST(i.amount AS REAL), i.tokens, i.at, i.created_at
FROM imported_costs AS i
WHERE NOT EXISTS (SELECT 1 FROM costs AS c WHERE c.day > i.month AND c.day < i.month || '-99');

CREATE VIEW john_revenue AS
SELECT d.id, d.name AS deal_name, date(d.closed_at / 1000, 'unixepoch') AS closed_date,
       round(CAST(d.amount AS REAL), 6) AS revenue, d.status, d.seen_at AS timestamp,
       datetime((SELECT min(b.seen_at) FROM deals AS b WHERE b.id = d.id) / 1000, 'unixepoch') AS created_at
FROM deals AS d WHERE d.seen_at = (SELECT max(b.seen_at) FROM deals AS b WHERE b.id = d.id)
UNION ALL
SELECT i.id, i.name, i.closed_date, CAST(i.amount AS REAL), i.status, i.at, i.created_at
FROM imported_deals AS i WHERE NOT EXISTS (SELECT 1 FROM deals AS d WHERE d.id = i.id);
"""

VIEWS = _SNAPSHOTS + KALSHI_TRADES + _REST
