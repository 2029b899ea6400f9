/** The last snapshots, in order: merges what arrives twice, late or in bulk, and finds where something is missing. */

import type { Ledger, Snapshot } from '../types/wire.js';

export const HISTORY_LIMIT = 100;

/** A stretch of time (ms since the epoch) whose updates could not be recovered. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** Oldest first, one per (epoch, seq), at most the newest `limit`. Returns `history` itself when nothing is new. */
export function mergeHistory(history: readonly Snapshot[], arrived: readonly Snapshot[], limit = HISTORY_LIMIT): Snapshot[] {
  const held = new Set(history.map(identity));
  const fresh = arrived.filter((snapshot) => isSnapshot(snapshot) && !held.has(identity(snapshot)));
  if (fresh.length === 0) return history as Snapshot[];
  const last = history.at(-1);
  const merged = [...history, ...fresh];
  if (fresh.length > 1 || (last !== undefined && isNewer(last, fresh[0] as Snapshot))) merged.sort(byTime);
  return merged.slice(-limit);
}

/** True when `a` was calculated after `b`; the sequence decides within one epoch. */
export function isNewer(a: Snapshot, b: Snapshot): boolean {
  return byTime(a, b) > 0;
}

function byTime(a: Snapshot, b: Snapshot): number {
  return a.epoch === b.epoch ? a.seq - b.seq : a.calculatedAt - b.calculatedAt;
}

/** True when updates between two snapshots did not arrive. Across epochs it does not follow from the numbers. */
export function skips(before: Snapshot, after: Snapshot): boolean {
  return before.epoch !== after.epoch || after.seq > before.seq + 1;
}

/** What is still missing after `last` once the server's own newest `rows` are held; null when nothing is. */
export function unrecovered(last: Snapshot, rows: readonly Snapshot[]): Gap | null {
  const oldest = rows[0];
  if (oldest === undefined || oldest.calculatedAt <= last.calculatedAt || !skips(last, oldest)) return null;
  return { from: last.calculatedAt, to: oldest.calculatedAt };
}

/** The snapshot with the ledger's totals in place: every figure the ledger determines, the rest as last known. */
export function withLedger(snapshot: Snapshot, ledger: Ledger): Snapshot {
  const totalRevenue = cents(ledger.kalshiPnL + ledger.totalRevenue);
  const totalExpenses = ledger.totalCosts;
  return {
    ...snapshot,
    totalRevenue,
    totalExpenses,
    netPnL: ledger.netPnL,
    grossMargin: totalRevenue > 0 ? cents(((totalRevenue - totalExpenses) / totalRevenue) * 100) : 0,
    components: {
      ...snapshot.components,
      kalshi: { ...snapshot.components.kalshi, pnl: ledger.kalshiPnL },
      johns: { ...snapshot.components.johns, collected: ledger.totalRevenue },
    },
    timestamp: new Date(ledger.timestamp).toISOString(),
    calculatedAt: ledger.timestamp,
  };
}

function cents(value: number): number {
  return Math.round(value * 100) / 100;
}

function identity(snapshot: Snapshot): string {
  return `${snapshot.epoch}:${snapshot.seq}`;
}

function isSnapshot(value: Snapshot): boolean {
  return typeof value?.netPnL === 'number' && typeof value.calculatedAt === 'number';
}
