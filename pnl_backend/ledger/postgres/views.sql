-- Views with the table names of the Node server, so that queries that were written for it still work: amounts in
-- dollars, times in ms. Imported rows are shown where the ledger has no row of its own for the same market, month or
-- deal.

CREATE FUNCTION utc_text(at bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(to_timestamp(at / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
$$;

CREATE VIEW pnl_snapshots AS
SELECT s.at AS timestamp, s.kalshi / 100.0 AS kalshi_pnl, s.costs / 100.0 AS total_costs,
       s.revenue / 100.0 AS total_revenue, s.net / 100.0 AS net_pnl,
       CASE WHEN s.seq < 0 THEN (SELECT i.trades FROM imported_snapshots AS i WHERE i.seq = s.seq)
       ELSE (SELECT (convert_from(p.data, 'UTF8')::json #>> '{components,kalshi,positions}')::bigint
                  + (convert_from(p.detail, 'UTF8')::json ->> 'closed')::bigint
             FROM payloads AS p WHERE p.seq = s.seq AND p.at = s.at) END AS trade_count,
       utc_text(s.at) AS created_at
FROM snapshots AS s;

-- From each snapshot that is held to the next, but never from an older server's to one of this server's.
CREATE VIEW pnl_deltas AS
SELECT at AS timestamp, (net - net_before) / 100.0 AS net_pnl_delta, (kalshi - kalshi_before) / 100.0 AS kalshi_delta,
       (costs - costs_before) / 100.0 AS costs_delta, (revenue - revenue_before) / 100.0 AS revenue_delta,
       utc_text(at) AS created_at
FROM (
    SELECT at, net, kalshi, costs, revenue, lag(net) OVER steps AS net_before, lag(kalshi) OVER steps AS kalshi_before,
           lag(costs) OVER steps AS costs_before, lag(revenue) OVER steps AS revenue_before
    FROM snapshots WINDOW steps AS (PARTITION BY seq < 0 ORDER BY seq)
) AS step
WHERE net_before IS NOT NULL;

CREATE VIEW pnl_aggregates AS
SELECT r.start AS bucket_timestamp,
       CASE r.span WHEN 60000 THEN '1m' WHEN 300000 THEN '5m' WHEN 900000 THEN '15m' WHEN 3600000 THEN '1h'
           WHEN 14400000 THEN '4h' WHEN 86400000 THEN '1d' WHEN 604800000 THEN '1w' END AS period,
       r.kalshi / 100.0 AS kalshi_pnl, r.costs / 100.0 AS costs, r.revenue / 100.0 AS revenue,
       r.close / 100.0 AS net_pnl,
       (SELECT count(*) FROM fills AS f WHERE f.at >= r.start AND f.at < r.start + r.span) AS trade_count,
       r.start + r.span AS created_at
FROM rollups AS r;

-- A row for each market. The ledger keeps no price of an open market, so `current_price` is NULL.
CREATE VIEW kalshi_trades AS
SELECT p.ticker AS id, p.ticker AS symbol, CASE WHEN p.quantity < 0 THEN 'sell' ELSE 'buy' END AS side,
       abs(p.quantity) AS quantity, round(p.cost / nullif(abs(p.quantity), 0), 6) AS entry_price,
       NULL::numeric AS current_price, CASE WHEN p.quantity = 0 THEN 'closed' ELSE 'open' END AS status,
       round(p.realized, 6) AS realized_pnl, p.changed_at AS timestamp,
       utc_text(coalesce((SELECT min(f.at) FROM fills AS f WHERE f.ticker = p.ticker), p.changed_at)) AS created_at
FROM positions AS p
UNION ALL
SELECT i.id, i.symbol, i.side, i.quantity, i.entry_price, i.current_price, i.status, i.realized, i.at, i.created_at
FROM imported_trades AS i
WHERE NOT EXISTS (SELECT 1 FROM positions AS p WHERE p.ticker IN (i.symbol, i.id));

-- A row for each month, of days that are closed and of the one that is running.
CREATE VIEW anthropic_costs AS
SELECT substr(c.day, 1, 7) AS id, substr(c.day, 1, 7) AS month, round(sum(c.amount), 6) AS total_cost,
       NULL::bigint AS tokens_used, (extract(epoch FROM (max(c.day) || ' 00:00:00+00')::timestamptz) * 1000)::bigint AS timestamp,
       min(c.day) || ' 00:00:00' AS created_at
FROM costs AS c GROUP BY substr(c.day, 1, 7)
UNION ALL
SELECT i.id, i.month, i.amount, i.tokens, i.at, i.created_at
FROM imported_costs AS i
WHERE NOT EXISTS (SELECT 1 FROM costs AS c WHERE c.day > i.month AND c.day < i.month || '-99');

CREATE VIEW john_revenue AS
SELECT d.id, d.name AS deal_name, substr(utc_text(d.closed_at), 1, 10) AS closed_date, round(d.amount, 6) AS revenue,
       d.status, d.seen_at AS timestamp,
       utc_text((SELECT min(b.seen_at) FROM deals AS b WHERE b.id = d.id)) AS created_at
FROM deals AS d WHERE d.seen_at = (SELECT max(b.seen_at) FROM deals AS b WHERE b.id = d.id)
UNION ALL
SELECT i.id, i.name, i.closed_date, i.amount, i.status, i.at, i.created_at
FROM imported_deals AS i WHERE NOT EXISTS (SELECT 1 FROM deals AS d WHERE d.id = i.id);
