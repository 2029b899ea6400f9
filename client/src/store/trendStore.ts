/** The rows that the trend chart shows: fetched by range, refreshed after a loss and every few minutes, grown by each update. */

import { createStore, type StoreApi } from 'zustand/vanilla';
import type { Rest } from '../transports/rest';
import type { HistoryOf } from '../types/shapes';
import type { HistoryRow, Snapshot } from '../types/wire';
import type { PnLStore } from './core';
import { RESOLUTION_MS, rowsOf, spanOf, withLive, type Range, type Span } from './trend';

const REFRESH_MS = 300_000;
/** Fewer rows than this are fetched again, finer: a young ledger should not be drawn as three dots. */
const FEW_ROWS = 40;
const MANY_ROWS = 2_000;
/** How far apart snapshots usually are. */
const RAW_MS = 5_000;
const FINER: readonly Span['resolution'][] = ['raw', '1m', '5m', '1h', '1d'];

export interface TrendState {
  readonly rows: readonly HistoryRow[];
  readonly span: Span;
  /** `kept`: the range could not be fetched, and these are the last minutes that the page has. */
  readonly state: 'loading' | 'ready' | 'kept';
}

export type TrendStore = StoreApi<TrendState> & {
  /** Shows a range until the returned function is called. */
  show: (range: Range, timeZone: string) => () => void;
};

export interface TrendOptions {
  pnl: PnLStore;
  rest: Rest;
  now?: () => number;
}

export function createTrendStore({ pnl, rest, now = Date.now }: TrendOptions): TrendStore {
  const store = createStore<TrendState>()(() => ({ rows: [], span: { from: 0, to: 0, resolution: '1m' }, state: 'loading' }));

  function show(range: Range, timeZone: string): () => void {
    let current = true;
    let seen = -Infinity; // When the last snapshot in the rows was calculated.
    store.setState({ rows: [], span: spanOf(range, now(), timeZone), state: 'loading' });

    function grow(history: readonly Snapshot[]): void {
      const { rows, span, state } = store.getState();
      if (state === 'ready') store.setState({ rows: grown(rows, history, span, seen) });
      seen = history.at(-1)?.calculatedAt ?? seen;
      if (state === 'kept') store.setState({ rows: rowsOf(history) });
    }

    /** What is on screen stays; where nothing is, the kept minutes stand in. */
    function makeDo(): void {
      const { span, state } = store.getState();
      if (state === 'loading') store.setState({ rows: rowsOf(pnl.getState().history), span: { ...span, resolution: 'raw' }, state: 'kept' });
    }

    async function load(): Promise<void> {
      try {
        const { rows, span } = await fetchRows(rest, spanOf(range, now(), timeZone));
        if (!current) return;
        const { history } = pnl.getState();
        store.setState({ rows: grown(rows, history, span, rows.at(-1)?.timestamp), span, state: 'ready' });
        seen = history.at(-1)?.calculatedAt ?? seen;
      } catch {
        if (current) makeDo();
      }
    }

    if (pnl.getState().connected) void load();
    else if (pnl.getState().link.phase === 'waiting') makeDo();
    const unsubscribe = pnl.subscribe((after, before) => {
      if (after.connected && !before.connected) void load();
      else if (after.link.phase === 'waiting') makeDo();
      if (after.history === before.history) return;
      const late = after.history.some((snapshot) => snapshot.calculatedAt <= seen && !before.history.includes(snapshot));
      grow(after.history);
      if (late && after.connected) void load(); // Recovered rows belong between those that are shown.
    });
    const timer = setInterval(() => pnl.getState().connected && void load(), REFRESH_MS);
    return () => {
      current = false;
      unsubscribe();
      clearInterval(timer);
    };
  }

  return Object.assign(store, { show });
}

/** The rows with every snapshot calculated after `seen`; one that the running bucket holds already changes nothing. */
function grown(rows: readonly HistoryRow[], history: readonly Snapshot[], { resolution }: Span, seen = -Infinity): readonly HistoryRow[] {
  const fresh = history.filter(({ calculatedAt }) => calculatedAt > seen);
  return fresh.reduce((held, snapshot) => withLive(held, snapshot, RESOLUTION_MS[resolution]), rows);
}

async function fetchRows(rest: Rest, span: Span): Promise<{ span: Span; rows: HistoryRow[] }> {
  const rows = await ask(rest, span);
  const first = rows[0]?.timestamp ?? span.to;
  if (rows.length >= FEW_ROWS) return { span, rows };
  const resolution = FINER.find((finer) => (span.to - first) / (finer === 'raw' ? RAW_MS : RESOLUTION_MS[finer]) <= MANY_ROWS) ?? span.resolution;
  if (RESOLUTION_MS[resolution] >= RESOLUTION_MS[span.resolution]) return { span, rows };
  return { span: { ...span, resolution }, rows: await ask(rest, { ...span, from: Math.max(span.from, first), resolution }) };
}

async function ask(rest: Rest, { from, to, resolution }: Span): Promise<HistoryRow[]> {
  const { data } = await rest.get<HistoryOf<HistoryRow>>(`/api/pnl/history?from=${from}&to=${to}&resolution=${resolution}`);
  return data;
}
