/** The rows that the trend chart shows: fetched by range, refreshed after a loss and every few minutes, extended by each update. */

import { createStore, type StoreApi } from 'zustand/vanilla';
import { backoff } from '../transports/backoff.js';
import { ApiError, type Rest } from '../transports/rest.js';
import type { HistoryRow, RangeHistory, Snapshot } from '../types/wire.js';
import type { PnLStore } from './assemble.js';
import { RESOLUTION_MS, rowsOf, spanOf, withLive, type Range, type Span } from './trend.js';

const REFRESH_MS = 300_000;
/** Fewer rows than this are fetched again in a finer resolution, so that a young ledger has a line and not a few points. */
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
  /** Why the last request failed and when the next is due (ms since the epoch; null: there is no next); null when it succeeded. */
  readonly failure: { readonly message: string; readonly nextTryAt: number | null } | null;
}

export type TrendStore = StoreApi<TrendState> & {
  /** Shows a range until the returned function is called. `timeZone` is the business zone; null while it is not known. */
  show: (range: Range, timeZone: string | null) => () => void;
};

export interface TrendOptions {
  pnl: PnLStore;
  /** Asks for the rows; without it the requests go where those of `pnl` go. */
  rest?: Rest;
  now?: () => number;
  random?: () => number;
}

export function createTrendStore({ pnl, rest = pnl.rest, now = Date.now, random = Math.random }: TrendOptions): TrendStore {
  const store = createStore<TrendState>()(() => ({ rows: [], span: { from: 0, to: 0, resolution: '1m' }, state: 'loading', failure: null }));

  function show(range: Range, timeZone: string | null): () => void {
    const shown = new Shown({ pnl, rest, now, random, store, range, timeZone: timeZone ?? 'UTC' });
    return timeZone === null ? () => undefined : shown.open();
  }

  return Object.assign(store, { show });
}

type ShownOptions = Required<TrendOptions> & { store: StoreApi<TrendState>; range: Range; timeZone: string };

/** One range while it is shown. */
class Shown {
  readonly #options: ShownOptions;
  #current = true;
  /** When the last snapshot in the rows was calculated. */
  #seen = -Infinity;
  /** The server's rows hold every snapshot up to here (ms since the epoch, by the server's clock). */
  #covered = -Infinity;
  #loading = false;
  #again = false;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ShownOptions) {
    this.#options = options;
    options.store.setState({ rows: [], span: this.#span(), state: 'loading', failure: null });
  }

  open(): () => void {
    const { pnl } = this.#options;
    if (pnl.getState().connected) void this.#load();
    else if (pnl.getState().link.phase === 'waiting') this.#showStored();
    const unsubscribe = pnl.subscribe((after, before) => {
      if (after.connected && !before.connected) void this.#load();
      else if (after.link.phase === 'waiting') this.#showStored();
      if (after.history === before.history) return;
      const late = after.history.some((snapshot) => this.#isLate(snapshot) && !before.history.includes(snapshot));
      this.#grow(after.history);
      if (late && after.connected) void this.#load(); // Recovered rows belong between those that are shown.
    });
    const timer = setInterval(() => pnl.getState().connected && void this.#load(), REFRESH_MS);
    return () => {
      this.#current = false;
      unsubscribe();
      clearInterval(timer);
      clearTimeout(this.#retry);
    };
  }

  /** One request at a time; another one that is due meanwhile is sent afterwards. */
  async #load(): Promise<void> {
    this.#again = this.#loading;
    if (this.#loading) return;
    clearTimeout(this.#retry);
    this.#loading = true;
    const { pnl, store, rest, timeZone } = this.#options;
    try {
      const { rows, span, until } = await fetchRows(rest, this.#span());
      if (!this.#current) return;
      const { history } = pnl.getState();
      this.#covered = until;
      this.#failures = 0;
      store.setState({ rows: grown(rows, history, span, timeZone, rows.at(-1)?.timestamp), span, state: 'ready', failure: null });
      this.#seen = history.at(-1)?.calculatedAt ?? this.#seen;
    } catch (error) {
      if (this.#current) this.#fail(error);
    } finally {
      this.#loading = false;
    }
    if (this.#again && this.#current && store.getState().failure === null) void this.#load();
  }

  /** Stores the reason, keeps what is shown, and tries again when the server allows it. */
  #fail(error: unknown): void {
    const { pnl, store, now, random } = this.#options;
    this.#showStored();
    if (!pnl.getState().connected) return; // The next connection loads it.
    const hopeless = error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
    const retryAfter = error instanceof ApiError ? error.retryAfterMs : undefined;
    const wait = retryAfter ?? backoff((this.#failures += 1), random());
    const message = error instanceof Error ? error.message : String(error);
    store.setState({ failure: { message, nextTryAt: hopeless ? null : now() + wait } });
    if (!hopeless) this.#retry = setTimeout(() => pnl.getState().connected && void this.#load(), wait);
  }

  #grow(history: readonly Snapshot[]): void {
    const { store, timeZone } = this.#options;
    const { rows, span, state } = store.getState();
    if (state === 'ready') store.setState({ rows: grown(rows, history, span, timeZone, this.#seen) });
    this.#seen = history.at(-1)?.calculatedAt ?? this.#seen;
    if (state === 'kept') store.setState({ rows: rowsOf(history) });
  }

  /** What is shown stays; where nothing is, the stored minutes are shown. */
  #showStored(): void {
    const { store, pnl } = this.#options;
    const { span, state } = store.getState();
    if (state === 'loading') store.setState({ rows: rowsOf(pnl.getState().history), span: { ...span, resolution: 'raw' }, state: 'kept' });
  }

  /** Older than the newest in the rows, and calculated after they were fetched: it is missing from them. */
  #isLate({ calculatedAt }: Snapshot): boolean {
    return this.#options.store.getState().state === 'ready' && calculatedAt <= this.#seen && calculatedAt > this.#covered;
  }

  #span(): Span {
    const { pnl, range, now, timeZone } = this.#options;
    return spanOf(range, now() + Math.round(pnl.getState().clockAheadMs ?? 0), timeZone);
  }
}

/** The rows with every snapshot calculated after `seen`; one that the running bucket holds already changes nothing. */
function grown(rows: readonly HistoryRow[], history: readonly Snapshot[], { resolution }: Span, timeZone: string, seen = -Infinity): readonly HistoryRow[] {
  const fresh = history.filter(({ calculatedAt }) => calculatedAt > seen);
  return fresh.reduce((held, snapshot) => withLive(held, snapshot, resolution, timeZone), rows);
}

interface Fetched {
  rows: HistoryRow[];
  /** When the server answered, by its clock (ms since the epoch); -Infinity where the answer has no time. */
  until: number;
}

async function fetchRows(rest: Rest, span: Span): Promise<Fetched & { span: Span }> {
  const { rows, until } = await request(rest, span);
  const first = rows[0]?.timestamp ?? span.to;
  if (rows.length >= FEW_ROWS) return { span, rows, until };
  const resolution = FINER.find((finer) => (span.to - first) / (finer === 'raw' ? RAW_MS : RESOLUTION_MS[finer]) <= MANY_ROWS) ?? span.resolution;
  if (RESOLUTION_MS[resolution] >= RESOLUTION_MS[span.resolution]) return { span, rows, until };
  return { ...(await request(rest, { ...span, from: Math.max(span.from, first), resolution })), span: { ...span, resolution } };
}

async function request(rest: Rest, { from, to, resolution }: Span): Promise<Fetched> {
  const { data, timestamp } = await rest.get<RangeHistory>(`/api/pnl/history?from=${from}&to=${to}&resolution=${resolution}`);
  const answeredAt = Date.parse(timestamp);
  return { rows: data, until: Number.isNaN(answeredAt) ? -Infinity : answeredAt };
}
