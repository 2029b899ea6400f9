/** What a store requests besides the feed: the breakdown and the baseline where they are not pushed, and the server's health. */

import type { Snapshot } from '../types/wire.js';
import type { StoreContext } from './context.js';
import { NO_FACTS, probe } from './server.js';
import type { Baseline } from './state.js';

/** How often the breakdown is fetched where it is not pushed. */
const BREAKDOWN_EVERY_MS = 15_000;
export const PROBE_EVERY_MS = 15_000;
/** Timers of several tabs are not synchronous: an answer that another tab got within this time is used. */
const PROBE_FRESH_MS = PROBE_EVERY_MS - 1_000;

export interface Refresh {
  readonly breakdown: () => void;
  /** Without the dashboard message, yesterday's last sums are computed from today's change. */
  readonly baseline: () => Promise<void>;
  readonly setBaseline: (baseline: Baseline) => void;
  /** Requests the server's health; with `unlessFresh` not if this or another tab has a recent answer. */
  readonly measure: (unlessFresh?: boolean) => Promise<void>;
}

export function createRefresh({ get, set, rest, now, keep, note }: StoreContext): Refresh {
  let fetchedBreakdownAt = -Infinity;

  function breakdown(): void {
    if (now() - fetchedBreakdownAt < BREAKDOWN_EVERY_MS) return;
    fetchedBreakdownAt = now();
    get().fetchComponentBreakdown().catch(() => undefined); // The action has stored the error.
  }

  /** All zeros mean that there is no day before. */
  function setBaseline(baseline: Baseline): void {
    const before = get().baseline;
    const figures = [baseline.previousRevenue, baseline.previousExpenses, baseline.previousNetPnL];
    if (before !== null && before.since === baseline.since && figures.every((figure, i) => figure === [before.previousRevenue, before.previousExpenses, before.previousNetPnL][i])) return;
    set({ baseline: figures.some((figure) => figure !== 0) ? baseline : null });
  }

  async function baseline(): Promise<void> {
    try {
      const [all, today] = await Promise.all([
        rest.get<Snapshot>('/api/pnl/current'),
        rest.get<Snapshot>('/api/pnl/current?period=today'),
      ]);
      setBaseline({
        previousRevenue: all.totalRevenue - today.totalRevenue,
        previousExpenses: all.totalExpenses - today.totalExpenses,
        previousNetPnL: all.netPnL - today.netPnL,
        ...(today.partial && today.since !== undefined ? { since: today.since } : {}),
      });
    } catch (error) {
      note(error);
    }
  }

  async function measure(unlessFresh = false): Promise<void> {
    const { apiReadAt } = get().system;
    if (unlessFresh && apiReadAt !== null && now() - apiReadAt < PROBE_FRESH_MS) return;
    try {
      const { api, server, latencyMs, clockAheadMs } = await probe(rest, now);
      if (!get().connected) return;
      set(({ system, ...before }) => ({
        latencyMs,
        server: same(before.server, server) ? before.server : server,
        clockAheadMs: clockAheadMs ?? before.clockAheadMs,
        unanswered: false,
        system: { ...system, api, apiReadAt: now() },
      }));
      keep();
    } catch {
      set({ latencyMs: null, unanswered: get().connected, server: get().server ?? NO_FACTS });
    }
  }

  return { breakdown, baseline, setBaseline, measure };
}

function same(one: object | null, other: object): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
