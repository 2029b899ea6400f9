/** The rows behind the trend chart: fetched by range, with the newest figure added as it arrives. */

import type { HistoryRow, Resolution, Snapshot } from '../types/wire.js';
import { startOfDay } from '../zone.js';

export const RANGES = ['today', 'week', 'month', 'year'] as const;
export type Range = (typeof RANGES)[number];

export interface Span {
  readonly from: number;
  readonly to: number;
  readonly resolution: Resolution;
}

const DAY_MS = 86_400_000;

/** The width of a bucket; a raw row has the time of its snapshot. */
export const RESOLUTION_MS: Record<Resolution, number> = {
  raw: 1,
  '1m': 60_000,
  '5m': 300_000,
  '15m': 900_000,
  '1h': 3_600_000,
  '4h': 14_400_000,
  '1d': DAY_MS,
  '1w': 7 * DAY_MS,
};

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

/** Stored snapshots as rows, for when the ranges cannot be fetched. */
export function rowsOf(history: readonly Snapshot[]): readonly HistoryRow[] {
  return history.reduce<readonly HistoryRow[]>((rows, snapshot) => withLive(rows, snapshot, 'raw', 'UTC'), []);
}

/** The begin of an instant's bucket, as on the server: days begin in the business zone, all other buckets in UTC. */
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
