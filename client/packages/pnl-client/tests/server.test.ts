/** What the store learns of the server, and how long it leaves it alone. */

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ApiError } from '../src/transports/rest.js';
import { T0 } from './fixtures.js';
import { build, history, send, settle } from './stage.js';

beforeEach(() => void vi.useFakeTimers({ now: T0 }));
afterEach(() => void vi.useRealTimers());

it('waits with what it owes for as long as the server asks', async () => {
  let refusals = 1;
  const answer = (): unknown => {
    if ((refusals -= 1) >= 0) throw new ApiError(429, { message: 'Too many requests' }, 20_000);
    return history(1, 2, 3);
  };
  const { store, websocket, rest } = build({ '/api/pnl/history': answer });
  await store.getState().initSocket();
  websocket.up();
  await settle();
  const asked = (): number => rest.asked.filter((path) => path.includes('history')).length;
  expect(asked()).toBe(1);
  await vi.advanceTimersByTimeAsync(19_999);
  expect(asked()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(asked()).toBe(2);
  expect(store.getState().history.map(({ seq }) => seq)).toEqual([1, 2, 3]);
});

it('learns the server’s zone, interval and clock, keeps them, and notices when it does not answer', async () => {
  const api = { status: 'ok', timestamp: T0 + 60_000, connectedClients: 1, businessTimezone: 'Asia/Tokyo', updateIntervalMs: 1_000 };
  const { store, websocket, rest, storage } = build({ '/api/health': api });
  await store.getState().initSocket();
  expect(store.getState().server).toBeNull();
  websocket.up();
  send(websocket, 1);
  await settle();
  expect(store.getState()).toMatchObject({ server: { businessTimezone: 'Asia/Tokyo', updateIntervalMs: 1_000 }, unanswered: false });
  expect(store.getState().clockAheadMs).toBeCloseTo(60_000, -2);
  delete rest.answers['/api/health'];
  await vi.advanceTimersByTimeAsync(15_000);
  expect(store.getState()).toMatchObject({ unanswered: true, server: { businessTimezone: 'Asia/Tokyo' } });
  send(websocket, 2);
  expect(store.getState().unanswered).toBe(false);
  store.getState().disconnect();
  expect(build({}, storage).store.getState().server).toEqual({ businessTimezone: 'Asia/Tokyo', updateIntervalMs: 1_000 });
});
