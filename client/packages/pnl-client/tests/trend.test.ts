import { describe, expect, it } from 'vitest';
import { spanOf, withLive } from '../src/store/trend.js';
import { bucket, snapshot, T0, TICK } from './fixtures.js';

describe('the trend rows', () => {
  it('cover the range, today since midnight in the business zone', () => {
    expect(spanOf('today', T0, 'America/New_York')).toEqual({ from: Date.UTC(2026, 1, 25, 5), to: T0, resolution: '1m' });
    expect((['week', 'month', 'year'] as const).map((range) => (T0 - spanOf(range, T0, 'UTC').from) / 86_400_000)).toEqual([7, 30, 365]);
  });

  it('end with the newest figure: in the running bucket, or a new one', () => {
    const rows = [bucket(T0, 1_000)];
    const within = withLive(rows, snapshot(3, { netPnL: 900 }), '1m', 'UTC');
    expect(within).toMatchObject([{ timestamp: T0, open: 1_000, high: 1_000, low: 900, close: 900 }]);
    expect(withLive(rows, snapshot(12), '1m', 'UTC')).toMatchObject([{ close: 1_000 }, { timestamp: T0 + 60_000, close: 1_012 }]);
    expect(withLive([bucket(T0 + 60 * TICK, 1)], snapshot(1), '1m', 'UTC')).toMatchObject([{ close: 1 }]);
    expect(rows).toEqual([bucket(T0, 1_000)]);
  });

  it('begin a new day with the business day, not with that of UTC', () => {
    const day = Date.UTC(2026, 1, 25, 15); // Midnight of the 26th in Tokyo.
    const rows = [bucket(day, 1_000)];
    expect(withLive(rows, snapshot(1), '1d', 'Asia/Tokyo')).toMatchObject([{ timestamp: day, close: 1_001 }]);
    expect(withLive([bucket(day - 86_400_000, 1)], snapshot(1), '1d', 'Asia/Tokyo')).toMatchObject([{ close: 1 }, { timestamp: day }]);
  });
});
