/** Stores the last figures on the device; under the default name they have the key and the form that the older store used. */

import type { Breakdown, Components, Snapshot } from '../types/wire.js';
import { readComponents, readSnapshot, readSnapshots } from './parse.js';
import { readFacts, type ServerFacts } from './server.js';

/** What the default store keeps is under names with this prefix. */
export const DEFAULT_NAME = 'pnl';
const keyOf = (name: string): string => `${name}-store`;
const WRITE_EVERY_MS = 5_000;

export interface Kept {
  pnl: Snapshot;
  history: Snapshot[];
  components: Components | Breakdown;
  lastUpdate: string | null;
  server: ServerFacts | null;
}

export type KeyValueStore = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** What was kept, completed where an older version kept less; null when there is nothing usable. */
export function restore(storage: KeyValueStore | null, name = DEFAULT_NAME): Kept | null {
  try {
    const kept = (JSON.parse(storage?.getItem(keyOf(name)) ?? 'null') as { state?: Partial<Kept> } | null)?.state;
    const pnl = readSnapshot(kept?.pnl);
    if (kept === undefined || pnl === null) return null;
    return {
      pnl,
      components: readComponents(kept.components ?? pnl.components),
      history: readSnapshots(kept.history),
      lastUpdate: typeof kept.lastUpdate === 'string' && !Number.isNaN(Date.parse(kept.lastUpdate)) ? kept.lastUpdate : pnl.timestamp,
      server: kept.server ? readFacts(kept.server) : null,
    };
  } catch {
    return null;
  }
}

export interface Keeper {
  keep: (kept: Kept) => void;
  flush: () => void;
  /** Removes what was stored and stores nothing more. */
  forget: () => void;
}

/** Writes at most every 5 s, and what is waiting when `flush` is called (the page is being closed). */
export function keeper(storage: KeyValueStore | null, name = DEFAULT_NAME): Keeper {
  let waiting: Kept | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (waiting === null) return;
    try {
      storage?.setItem(keyOf(name), JSON.stringify({ state: waiting, version: 0 }));
    } catch {
      // A full or forbidden storage costs only the numbers to show when offline.
    }
    waiting = null;
  }

  return {
    flush,
    keep(kept) {
      if (over || storage === null) return;
      waiting = kept;
      timer ??= setTimeout(flush, WRITE_EVERY_MS);
    },
    forget() {
      over = true;
      waiting = null;
      clearTimeout(timer);
      try {
        storage?.removeItem(keyOf(name));
      } catch {
        // What cannot be reached is not read either.
      }
    },
  };
}
