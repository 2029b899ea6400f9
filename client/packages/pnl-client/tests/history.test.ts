import { describe, expect, it } from 'vitest';
import { isNewer, mergeHistory, skips, unrecovered, withLedger } from '../src/store/history.js';
import { snapshot, T0 } from './fixtures.js';

const seqs = (history: readonly { seq: number }[]): number[] => history.map(({ seq }) => seq);

describe('mergeHistory', () => {
  it('appends what is newer and keeps the newest hundred', () => {
    let history = [snapshot(0)];
    for (let n = 1; n <= 130; n += 1) history = mergeHistory(history, [snapshot(n)]);
    expect(seqs(history)).toEqual(Array.from({ length: 100 }, (_, i) => 31 + i));
  });

  it('puts replayed and late updates in their place, once', () => {
    const history = mergeHistory([snapshot(1), snapshot(5)], [snapshot(4), snapshot(2), snapshot(5), snapshot(3)]);
    expect(seqs(history)).toEqual([1, 2, 3, 4, 5]);
  });

  it('returns the same array when nothing is new, so that nothing renders', () => {
    const history = [snapshot(1), snapshot(2)];
    expect(mergeHistory(history, [snapshot(2), snapshot(1)])).toBe(history);
  });

  it('orders across epochs by time', () => {
    const after = snapshot(3, { epoch: 'new', seq: 1 });
    expect(mergeHistory([after], [snapshot(2)]).map(({ epoch }) => epoch)).toEqual(['k3v9', 'new']);
    expect(isNewer(after, snapshot(2))).toBe(true);
  });

  it('leaves out what is not a snapshot', () => {
    expect(mergeHistory([], [{ error: 'no' } as never, snapshot(1)])).toHaveLength(1);
  });
});

describe('gaps', () => {
  it('sees a skipped sequence and a new epoch, not a neighbour', () => {
    expect(skips(snapshot(4), snapshot(5))).toBe(false);
    expect(skips(snapshot(4), snapshot(6))).toBe(true);
    expect(skips(snapshot(4), snapshot(5, { epoch: 'new' }))).toBe(true);
  });

  it('is closed when the server still holds the last update seen', () => {
    expect(unrecovered(snapshot(4), [snapshot(3), snapshot(4), snapshot(9)])).toBeNull();
    expect(unrecovered(snapshot(4), [snapshot(5), snapshot(6)])).toBeNull();
  });

  it('names the stretch that the server no longer holds', () => {
    expect(unrecovered(snapshot(4), [snapshot(20), snapshot(21)])).toEqual({ from: T0 + 20_000, to: T0 + 100_000 });
  });

  it('is closed when the server has nothing', () => {
    expect(unrecovered(snapshot(4), [])).toBeNull();
  });
});

describe('withLedger', () => {
  it('takes every figure that the ledger determines, and they add up', () => {
    const ledger = {
      timestamp: T0 + 60_000,
      kalshiPnL: 510.1,
      totalCosts: 126,
      totalRevenue: 625.6,
      netPnL: 1_009.7,
      breakdown: { trades: 510.1, costs: -126, revenue: 625.6 },
      components: { openTradeCount: 3, closedTradeCount: 9, recentDeals: 0, deals: [] },
      metadata: { dataPoints: 9, computedAt: T0 },
      degraded: [],
      estimated: false,
      complete: true,
      epoch: 'k3v9',
      seq: 12,
    };
    const shown = withLedger(snapshot(1), ledger);
    expect(shown).toMatchObject({ totalRevenue: 1_135.7, totalExpenses: 126, netPnL: 1_009.7, grossMargin: 88.91 });
    expect(shown.totalRevenue - shown.totalExpenses).toBeCloseTo(shown.netPnL, 10);
    expect(shown.components.kalshi).toMatchObject({ pnl: 510.1, balance: 10_000 });
    expect(shown.seq).toBe(1); // The full snapshot is still owed.
  });
});
