import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createPnLStore } from '../src/createStore.js';
import { createCredentials } from '../src/store/credentials.js';
import { ApiError } from '../src/transports/rest.js';
import { createTrendStore } from '../src/store/trendStore.js';
import { breakdown, bucket, fakeRest, ladderOfFakes, snapshot, T0, TICK } from './fixtures.js';

const MINUTE = 60_000;
const answer = (rows: object[], timestamp = ''): object => ({ count: rows.length, data: rows, timestamp });
const minutes = (count: number, before = T0): object[] => Array.from({ length: count }, (_, i) => bucket(before - (count - i) * MINUTE, 1_000));

function build(rows: (path: string) => object[], answeredAt = '') {
  const { websocket, list } = ladderOfFakes();
  const asked: string[] = [];
  const rest = fakeRest({ '/api/pnl/breakdown': breakdown(1), '/api/health': {} });
  const get = rest.get;
  rest.get = async <Data>(path: string): Promise<Data> => {
    if (!path.includes('resolution')) return path.includes('history') ? (answer([]) as Data) : get(path);
    asked.push(path);
    return answer(rows(path), answeredAt) as Data;
  };
  const pnl = createPnLStore({ rest, credentials: createCredentials(null, null), storage: null, transports: () => list, random: () => 0.5 });
  const trend = createTrendStore({ pnl, rest, random: () => 0.5 });
  return { websocket, pnl, trend, asked };
}

const closes = (trend: { getState: () => { rows: readonly { close: number }[] } }): number[] => trend.getState().rows.map(({ close }) => close);

beforeEach(() => void vi.useFakeTimers({ now: T0 }));
afterEach(() => void vi.useRealTimers());

describe('the trend', () => {
  it('waits for a connection, then shows the range', async () => {
    const { pnl, websocket, trend, asked } = build(() => minutes(60));
    const hide = trend.show('today', 'UTC');
    expect(trend.getState().state).toBe('loading');
    await pnl.getState().initSocket();
    websocket.up();
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toEqual([`/api/pnl/history?from=${Date.UTC(2026, 1, 25)}&to=${T0}&resolution=1m`]);
    expect(trend.getState()).toMatchObject({ state: 'ready', span: { resolution: '1m' } });
    expect(trend.getState().rows).toHaveLength(60);
    hide();
  });

  it('keeps every update that came since, not the newest alone', async () => {
    const raw = [bucket(T0 - TICK, 999)];
    const { pnl, websocket, trend } = build((path) => (path.includes('raw') ? raw : minutes(2)));
    trend.show('today', 'UTC');
    await pnl.getState().initSocket();
    websocket.up();
    await vi.advanceTimersByTimeAsync(0);
    expect(trend.getState().span.resolution).toBe('raw');
    for (const n of [0, 1, 2, 3]) {
      websocket.events?.snapshot(snapshot(n), snapshot(n).timestamp);
      await vi.advanceTimersByTimeAsync(TICK);
    }
    expect(closes(trend)).toEqual([999, 1_000, 1_001, 1_002, 1_003]);
  });

  it('fetches again when updates are recovered late, so that they stand in their place', async () => {
    const { pnl, websocket, trend, asked } = build(() => minutes(60));
    trend.show('today', 'UTC');
    await pnl.getState().initSocket();
    websocket.up();
    await vi.advanceTimersByTimeAsync(0);
    for (const n of [1, 2, 4]) websocket.events?.snapshot(snapshot(n), snapshot(n).timestamp);
    expect(asked).toHaveLength(1);
    websocket.events?.snapshot(snapshot(3), snapshot(3).timestamp);
    expect(asked).toHaveLength(2);
  });

  it('keeps what it shows through a loss and fetches again after it', async () => {
    const { pnl, websocket, trend, asked } = build(() => minutes(60));
    trend.show('today', 'UTC');
    await pnl.getState().initSocket();
    websocket.up();
    await vi.advanceTimersByTimeAsync(60_000);
    websocket.fail();
    expect(trend.getState().state).toBe('ready');
    await vi.advanceTimersByTimeAsync(1_000);
    websocket.up();
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toHaveLength(2);
  });

  it('shows the kept minutes when a range cannot be fetched', async () => {
    const { pnl, websocket, trend } = build(() => {
      throw new Error('gone');
    });
    trend.show('week', 'UTC');
    await pnl.getState().initSocket();
    websocket.up();
    websocket.events?.snapshot(snapshot(0), snapshot(0).timestamp);
    await vi.advanceTimersByTimeAsync(0);
    expect(trend.getState()).toMatchObject({ state: 'kept', span: { resolution: 'raw' } });
    websocket.events?.snapshot(snapshot(1), snapshot(1).timestamp);
    expect(closes(trend)).toEqual([1_000, 1_001]);
  });

  it('listens no more once another range is shown', async () => {
    const { pnl, websocket, trend, asked } = build(() => minutes(60));
    await pnl.getState().initSocket();
    websocket.up();
    trend.show('today', 'UTC')();
    trend.show('week', 'UTC');
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toHaveLength(2);
    expect(trend.getState().span.resolution).toBe('5m');
    await vi.advanceTimersByTimeAsync(300_000);
    expect(asked).toHaveLength(3);
  });

  it('asks for each range once on a first visit, though the history of the session arrives after it', async () => {
    const fetched = minutes(60);
    const { pnl, websocket, trend, asked } = build(() => fetched, new Date(T0 + 100).toISOString());
    trend.show('today', 'UTC');
    await pnl.getState().initSocket();
    websocket.up();
    await vi.advanceTimersByTimeAsync(0);
    websocket.events?.snapshot(snapshot(0), snapshot(0).timestamp);
    for (const n of [-3, -2, -1]) websocket.events?.snapshot(snapshot(n), snapshot(n).timestamp);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(asked).toHaveLength(1);
  });

  it('waits for the business zone before it asks', async () => {
    const { pnl, websocket, trend, asked } = build(() => minutes(60));
    const hide = trend.show('today', null);
    await pnl.getState().initSocket();
    websocket.up();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(asked).toEqual([]);
    hide();
    trend.show('today', 'Asia/Tokyo');
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toEqual([expect.stringContaining(`from=${Date.UTC(2026, 1, 25, 15)}&`)]);
  });
});

describe('a range that cannot be fetched', () => {
  const refuse = (error: Error, times: number, then: () => object[] = () => minutes(60)) => {
    let left = times;
    return () => {
      if ((left -= 1) >= 0) throw error;
      return then();
    };
  };
  const limited = new ApiError(429, { message: 'Too many requests' }, 42_000);

  async function shown(rows: () => object[]) {
    const built = build(rows);
    built.trend.show('today', 'UTC');
    await built.pnl.getState().initSocket();
    built.websocket.up();
    await vi.advanceTimersByTimeAsync(0);
    return built;
  }

  it('says why, and asks again when the server allows it, not before', async () => {
    const { trend, asked } = await shown(refuse(limited, 1));
    expect(trend.getState()).toMatchObject({ state: 'kept', failure: { message: 'Too many requests', nextTryAt: T0 + 42_000 } });
    await vi.advanceTimersByTimeAsync(41_999);
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked).toHaveLength(2);
    expect(trend.getState()).toMatchObject({ state: 'ready', failure: null });
    expect(trend.getState().rows).toHaveLength(60);
  });

  it('keeps what was shown when a refresh fails', async () => {
    let fails = false;
    const { trend } = await shown(() => {
      if (fails) throw new Error('The server answered 500');
      return minutes(60);
    });
    fails = true;
    await vi.advanceTimersByTimeAsync(300_000);
    expect(trend.getState()).toMatchObject({ state: 'ready', failure: { message: 'The server answered 500' } });
    expect(trend.getState().rows.length).toBeGreaterThanOrEqual(60);
    fails = false;
    await vi.advanceTimersByTimeAsync(40_000);
    expect(trend.getState().failure).toBeNull();
  });

  it('waits longer and longer without a Retry-After', async () => {
    const { asked } = await shown(refuse(new Error('Failed to fetch'), 100));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked.length).toBeGreaterThanOrEqual(4);
    expect(asked.length).toBeLessThanOrEqual(6);
  });

  it('is not asked for again by itself when the request itself is wrong', async () => {
    const { trend, asked } = await shown(refuse(new ApiError(400, { message: 'too many rows' }), 100));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toHaveLength(1);
    expect(trend.getState().failure).toEqual({ message: 'too many rows', nextTryAt: null });
  });

  it('is no failure of the range while there is no connection', async () => {
    const { pnl, websocket, trend } = build(refuse(new Error('Failed to fetch'), 1));
    trend.show('today', 'UTC');
    await pnl.getState().initSocket();
    websocket.up();
    websocket.fail();
    await vi.advanceTimersByTimeAsync(0);
    expect(trend.getState().failure).toBeNull();
  });
});
