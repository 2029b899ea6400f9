/** Keeps the last numbers in localStorage, under the name and in the form that the older store used. */

import type { Breakdown, Components, Snapshot } from '../types/wire';

const NAME = 'pnl-store';
const WRITE_EVERY_MS = 5_000;

export interface Kept {
  pnl: Snapshot;
  history: Snapshot[];
  components: Components | Breakdown;
  lastUpdate: string | null;
}

export type KeyValueStore = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** What was kept, or null when there is nothing usable. */
export function restore(storage: KeyValueStore | null): Kept | null {
  try {
    const kept = (JSON.parse(storage?.getItem(NAME) ?? 'null') as { state?: Partial<Kept> } | null)?.state;
    if (typeof kept?.pnl?.netPnL !== 'number' || typeof kept.pnl.calculatedAt !== 'number' || !kept.components) return null;
    const history = Array.isArray(kept.history) ? kept.history : [];
    return { pnl: kept.pnl, components: kept.components, history, lastUpdate: kept.lastUpdate ?? kept.pnl.timestamp };
  } catch {
    return null;
  }
}

/** Writes at most every 5 s, and what is waiting when `flush` is called (the page is going away). */
export function keeper(storage: KeyValueStore | null): { keep: (kept: Kept) => void; flush: () => void } {
  let waiting: Kept | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (waiting === null) return;
    try {
      storage?.setItem(NAME, JSON.stringify({ state: waiting, version: 0 }));
    } catch {
      // A full or forbidden storage costs only the numbers to show when offline.
    }
    waiting = null;
  }

  return {
    flush,
    keep(kept) {
      waiting = kept;
      timer ??= setTimeout(flush, WRITE_EVERY_MS);
    },
  };
}
