import { describe, expect, it } from 'vitest';
import { bar, columns, paddedRange, recent, rowIndex, runs, timeRange, sparkPaths, typicalStep, waterfall, waterfallDomain } from '../src/lib/chart';
import { toCsv, fileName } from '../src/lib/exports';
import { bucket, snapshot, T0 } from '../packages/pnl-client/tests/fixtures';

const line = (...xs: number[]): { x: number; y: number }[] => xs.map((x) => ({ x, y: x }));

describe('a gap is a gap', () => {
  it('cuts a series where neighbours are too far apart', () => {
    expect(runs(line(0, 5, 10, 40, 45), 15).map((run) => run.length)).toEqual([3, 2]);
    expect(runs([], 15)).toEqual([]);
  });

  it('puts a null where a bucket is missing', () => {
    const [xs, ys] = columns([bucket(0, 1), bucket(60_000, 2), bucket(240_000, 3)], 60_000);
    expect(xs).toEqual([0, 60, 120, 240]);
    expect(ys).toEqual([1, 2, null, 3]);
  });

  it('knows the usual step from the middle one', () => {
    expect(typicalStep(line(0, 5, 10, 500, 505))).toBe(5);
    expect(typicalStep(line(3))).toBe(0);
  });
});

describe('the sparkline', () => {
  const box = { width: 100, height: 20, pad: 0 };

  it('fills its box, high values on top', () => {
    const { lines, last } = sparkPaths([{ x: 0, y: 10 }, { x: 50, y: 0 }, { x: 100, y: 5 }], 60, box);
    expect(lines).toEqual(['M0 0L50 20L100 10']);
    expect(last).toEqual({ x: 100, y: 10 });
  });

  it('draws a flat series in the middle and a single point at the end', () => {
    expect(sparkPaths([{ x: 0, y: 7 }, { x: 10, y: 7 }], 60, box).lines).toEqual(['M0 10L100 10']);
    expect(sparkPaths([{ x: 3, y: 7 }], 60, box)).toEqual({ lines: [], last: { x: 100, y: 10 }, zero: null });
    expect(sparkPaths([], 60, box).last).toBeNull();
  });

  it('marks zero only when the series crosses it', () => {
    expect(sparkPaths([{ x: 0, y: -10 }, { x: 10, y: 10 }], 60, box).zero).toBe(10);
    expect(sparkPaths([{ x: 0, y: 1 }, { x: 10, y: 10 }], 60, box).zero).toBeNull();
  });

  it('takes the last minutes from the history', () => {
    expect(recent([snapshot(0), snapshot(100), snapshot(101)], 60_000).map(({ y }) => y)).toEqual([1_100, 1_101]);
  });
});

describe('the time axis', () => {
  it('has a place for a single point', () => {
    expect(timeRange(1_000, 1_000, 600)).toEqual([400, 1_000]);
    expect(timeRange(0, 5_000, 600)).toEqual([0, 5_000]);
    expect(timeRange(null, null, 600)).toEqual([0, 1]);
  });

  it('finds the row under the crosshair, gaps included', () => {
    const rows = [bucket(0, 1), bucket(60_000, 2), bucket(240_000, 3)];
    expect([0, 60, 120, 240, 999, undefined].map((at) => rowIndex(rows, at))).toEqual([0, 1, 1, 2, 2, 2]);
    expect(rowIndex([], 5)).toBe(0);
  });
});

describe('the money axis', () => {
  it('has room around the values', () => {
    expect(paddedRange(1_000, 2_000)).toEqual([880, 2_120]);
    const [low, high] = paddedRange(500, 500);
    expect(low).toBeLessThan(500);
    expect(high).toBeGreaterThan(500);
  });

  it('holds zero when it is near, and is sane without values', () => {
    expect(paddedRange(10, 100)[0]).toBe(0);
    expect(paddedRange(-100, -10)[1]).toBe(0);
    expect(paddedRange(null, null)).toEqual([0, 1]);
    expect(paddedRange(0, 0)[0]).toBe(0);
  });
});

describe('the waterfall', () => {
  const steps = waterfall([
    { label: 'Trading', value: 500 },
    { label: 'Open', value: -100 },
    { label: 'Revenue', value: 400, total: true },
    { label: 'Costs', value: -600 },
    { label: 'Net', value: -200, total: true },
  ]);

  it('starts each change where the one before ended, totals at zero', () => {
    expect(steps.map(({ from, to }) => [from, to])).toEqual([[0, 500], [500, 400], [0, 400], [400, -200], [0, -200]]);
    expect(steps.map(({ kind }) => kind)).toEqual(['gain', 'loss', 'total', 'loss', 'total']);
  });

  it('fits the axis, zero included', () => {
    const domain = waterfallDomain(steps);
    expect(domain).toEqual([-200, 500]);
    expect(bar({ from: 400, to: -200 }, domain)).toEqual({ x: 0, width: 85.71 });
    expect(waterfallDomain([])).toEqual([0, 1]);
  });
});

describe('the export', () => {
  it('is the rows that are shown', () => {
    expect(toCsv([bucket(T0, -12.5)])).toBe(
      'timestamp,netPnL,kalshiPnL,costs,revenue,open,high,low,close,count,degraded,estimated,complete,restated\r\n2026-02-25T22:24:00.000Z,-12.5,0,0,-12.5,-12.5,-12.5,-12.5,-12.5,1,,false,true,false\r\n',
    );
    expect(toCsv([{ ...bucket(Date.UTC(2026, 1, 24, 15), 1), degraded: ['kalshi', 'toy'], complete: false, restated: true }], 'Asia/Tokyo')).toBe(
      'timestamp,netPnL,kalshiPnL,costs,revenue,open,high,low,close,count,date,degraded,estimated,complete,restated\r\n2026-02-24T15:00:00.000Z,1,0,0,1,1,1,1,1,1,2026-02-25,kalshi toy,false,false,true\r\n',
    );
    expect(fileName('today', T0, 'csv')).toBe('pnl-today-20260225T222400Z.csv');
  });
});
