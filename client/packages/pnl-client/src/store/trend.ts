/** The rows behind the trend chart: fetched by range, with the newest figure added as it arrives. */

import type { Resolution } from '../types/shapes.js';
import type { HistoryRow, Snapshot } from '../types/wire.js';
import { startOfDay } from '../zone.js';

export const RANGES = ['today', 'week', 'month', 'year'] as const;
export type Range = (typeof RANGES)[number];

export interface Span {
  readonly from: number;
  readonly to: number;
  readonly resolution: Resolution;
}

/** The width of a bucket; raw rows stand each at their own moment. */
export const RESOLUTION_MS: Record<Resolution, number> = { raw: 1, '1m': 60_000, '5m': 300_000, '1h': 3_600_000, '1d': 86_400_000 };

const DAY_MS = 86_400_000;

/** Today since midnight in the business zone; the others back from now. The finest resolution under about 2,000 rows. */
export function spanOf(range: Range, now: number, timeZone: string): Span {
  switch (range) {
    case 'today':
      return { from: startOfDay(now, timeZone), to: now, resolution: '1m' };
    case 'week':
      return { from: now - 7 * DAY_MS, to: now, resolution: '5m' };
    case 'month':
      return { from: now - 30 * DAY_MS, to: now, resolution: '1h' };
    case 'year':
      return { from: now - 365 * DAY_MS, to: now, resolution: '1d' };
  }
}

/** Kept snapshots as rows, for when the ranges cannot be fetched. */
export function rowsOf(history: readonly Snapshot[]): readonly HistoryRow[] {
  return history.reduce<readonly HistoryRow[]>((rows, snapshot) => withLive(rows, snapshot, 'raw', 'UTC'), []);
}

/** Where the bucket of an instant begins, as the server has it: days are those of the business zone, the rest of UTC. */
export function bucketOf(instant: number, resolution: Resolution, timeZone: string): number {
  if (resolution === '1d') return startOfDay(instant, timeZone);
  return Math.floor(instant / RESOLUTION_MS[resolution]) * RESOLUTION_MS[resolution];
}

/** The rows with `snapshot` as the newest value: the running bucket is extended, or a new one begun. */
export function withLive(rows: readonly HistoryRow[], snapshot: Snapshot, resolution: Resolution, timeZone: string): readonly HistoryRow[] {
  const last = rows.at(-1);
  const { netPnL } = snapshot;
  const figures = {
    netPnL,
    kalshiPnL: snapshot.components.kalshi.pnl,
    costs: snapshot.totalExpenses,
    revenue: snapshot.components.johns.collected,
    close: netPnL,
  };
  const timestamp = bucketOf(snapshot.calculatedAt, resolution, timeZone);
  if (last === undefined || timestamp > last.timestamp) {
    return [...rows, { timestamp, ...figures, open: netPnL, high: netPnL, low: netPnL, count: 1 }];
  }
  if (snapshot.calculatedAt < last.timestamp) return rows;
  const running = { ...last, ...figures, high: Math.max(last.high, netPnL), low: Math.min(last.low, netPnL) };
  return [...rows.slice(0, -1), running];
}
