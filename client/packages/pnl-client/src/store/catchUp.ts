/** Fetches the updates that did not arrive, until a fetch has succeeded, and reports those that the server no longer holds. */

import { ApiError, type Rest } from '../transports/rest.js';
import type { Snapshot, SnapshotHistory } from '../types/wire.js';
import { HISTORY_LIMIT, unrecovered, type Gap } from './history.js';
import { readSnapshots } from './parse.js';

/** The least time between two fetches. */
const EVERY_MS = 4_500;
/** What is requested first: a minute of updates. */
const FIRST_ROWS = 12;

export interface CatchUpOptions {
  rest: Rest;
  connected: () => boolean;
  accept: (snapshots: readonly Snapshot[], timestamp: string) => void;
  onGap: (gap: Gap) => void;
  onError: (error: unknown) => void;
}

export interface CatchUp {
  /** Everything after `last` is missing; null for everything that the server holds. */
  request: (last: Snapshot | null) => void;
  /** There is a connection again: continue with what is still missing. */
  resume: () => void;
}

export function createCatchUp({ rest, connected, accept, onGap, onError }: CatchUpOptions): CatchUp {
  let missing: { last: Snapshot | null } | null = null; // Updates after this one have to be fetched.
  let busy = false;

  async function run(): Promise<void> {
    if (missing === null || !connected()) return;
    const { last } = missing;
    let wait = EVERY_MS;
    busy = true;
    missing = null;
    try {
      await fetchAfter(last);
    } catch (error) {
      missing = { last };
      if (error instanceof ApiError) wait = Math.max(wait, error.retryAfterMs ?? 0);
      onError(error);
    }
    const timer: unknown = setTimeout(() => {
      busy = false;
      void run();
    }, wait);
    (timer as { unref?: () => void }).unref?.(); // A program in Node does not wait for it after `disconnect`.
  }

  async function fetchAfter(last: Snapshot | null): Promise<void> {
    for (const limit of last === null ? [HISTORY_LIMIT] : [FIRST_ROWS, HISTORY_LIMIT]) {
      const { data, timestamp } = await rest.get<SnapshotHistory>(`/api/pnl/history?limit=${limit}`);
      const rows = readSnapshots(data);
      accept(rows, timestamp);
      const gap = last && unrecovered(last, rows);
      if (!gap) break;
      if (limit === HISTORY_LIMIT) onGap(gap);
    }
  }

  return {
    request(last) {
      missing ??= { last }; // The earliest requested point remains.
      if (!busy) void run();
    },
    resume() {
      if (missing !== null && !busy) void run();
    },
  };
}
