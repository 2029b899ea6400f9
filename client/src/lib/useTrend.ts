/** The rows of the chosen range: fetched, refreshed after a loss and every few minutes, extended by each update. */

import { useEffect, useMemo, useState } from 'react';
import { pageRest, usePnLStore } from '../pnlStore';
import { known } from '../store/state';
import { RESOLUTION_MS, rowsOf, spanOf, withLive, type Range, type Span } from '../store/trend';
import type { Bucket, BucketHistory } from '../types/wire';

const REFRESH_MS = 300_000;
/** Fewer rows than this are fetched again, finer: a young ledger should not be drawn as three dots. */
const FEW_ROWS = 40;
const MANY_ROWS = 2_000;
/** How far apart snapshots usually are. */
const RAW_MS = 5_000;
const FINER: readonly Span['resolution'][] = ['raw', '1m', '5m', '1h', '1d'];

export interface TrendRows {
  readonly rows: readonly Bucket[];
  readonly span: Span;
  /** `kept`: the range could not be fetched, and these are the last minutes that the page has. */
  readonly state: 'loading' | 'ready' | 'kept';
}

interface Loaded {
  readonly range: Range;
  readonly timeZone: string;
  readonly span: Span;
  readonly rows: readonly Bucket[];
}

export function useTrend(range: Range, timeZone: string): TrendRows {
  const connected = usePnLStore((state) => state.connected);
  const pnl = usePnLStore((state) => state.pnl);
  const history = usePnLStore((state) => state.history);
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const [failed, setFailed] = useState(false);

  useEffect(() => {
    if (!connected) return;
    let current = true;
    const load = async (): Promise<void> => {
      try {
        const { span, rows } = await fetchRows(spanOf(range, Date.now(), timeZone));
        if (!current) return;
        setLoaded({ range, timeZone, span, rows });
        setFailed(false);
      } catch {
        if (current) setFailed(true);
      }
    };
    void load();
    const timer = setInterval(() => void load(), REFRESH_MS);
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [range, timeZone, connected]);

  const mine = loaded !== null && loaded.range === range && loaded.timeZone === timeZone ? loaded : null;
  const asked = useMemo(() => spanOf(range, Date.now(), timeZone), [range, timeZone]);
  const missing = mine === null && (failed || !connected);
  const span = mine?.span ?? (missing ? { ...asked, resolution: 'raw' as const } : asked);
  const rows = useMemo(() => {
    if (missing) return rowsOf(history);
    const snapshot = known(pnl);
    const base = mine?.rows ?? [];
    return mine === null || snapshot === null ? base : withLive(base, snapshot, RESOLUTION_MS[mine.span.resolution]);
  }, [mine, missing, pnl, history]);
  return { rows, span, state: mine !== null ? 'ready' : missing ? 'kept' : 'loading' };
}

async function fetchRows(span: Span): Promise<{ span: Span; rows: Bucket[] }> {
  const rows = await ask(span);
  const first = rows[0]?.timestamp;
  if (first === undefined || rows.length >= FEW_ROWS) return { span, rows };
  const resolution = FINER.find((finer) => (span.to - first) / (finer === 'raw' ? RAW_MS : RESOLUTION_MS[finer]) <= MANY_ROWS) ?? span.resolution;
  if (RESOLUTION_MS[resolution] >= RESOLUTION_MS[span.resolution]) return { span, rows };
  const finer = { ...span, from: first, resolution };
  return { span: { ...span, resolution }, rows: await ask(finer) };
}

async function ask({ from, to, resolution }: Span): Promise<Bucket[]> {
  const { data } = await pageRest.get<BucketHistory>(`/api/pnl/history?from=${from}&to=${to}&resolution=${resolution}`);
  return data;
}
