"""The statement for intervals that are computed from stored ones, as PostgreSQL takes it."""

from __future__ import annotations

from pnl_backend.ledger.sql.coarse import dollars

# Counts and marks are those of all its own parts, the figures those of its complete ones, where it has any.
NEWEST = f"""
WITH fine AS (
    SELECT start - start % ? AS begins, max(rank) OVER (PARTITION BY start - start % ?) AS best, *
    FROM (
        SELECT *, CASE WHEN first_seq >= 0 THEN 1 ELSE 0 END + complete AS rank FROM rollups
        WHERE span = ? AND start BETWEEN ? AND ? ORDER BY start DESC LIMIT ?
    ) AS newest
),
kept AS (
    SELECT begins, min(first_seq) AS first_seq, max(high) AS high, min(low) AS low, max(complete) AS complete,
           (array_agg(open ORDER BY first_seq))[1] AS open,
           (array_agg(ARRAY[close, kalshi, costs, revenue] ORDER BY last_seq DESC))[1:1] AS last
    FROM fine WHERE rank = best GROUP BY begins
),
counted AS (
    SELECT begins, CAST(sum(count) AS bigint) AS count, max(estimated) AS estimated,
           CASE WHEN max(not_live) = '' THEN '' ELSE string_agg(DISTINCT not_live, ',') END AS sets
    FROM fine WHERE (first_seq >= 0) = (best > 0) GROUP BY begins
)
SELECT begins, {dollars("open", "high", "low", "last[1][1]", "last[1][2]", "last[1][3]", "last[1][4]")},
    count, first_seq, complete, sets, estimated
FROM kept JOIN counted USING (begins) ORDER BY begins DESC LIMIT ?
"""  # noqa: S608 - a constant
