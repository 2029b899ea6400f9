import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createPnLStore } from '../src/createStore.js';
import { createCredentials } from '../src/store/credentials.js';
import { shareSystem, type TabChannel } from '../src/store/sharedSystem.js';
import { fakeRest, ladderOfFakes, T0 } from './fixtures.js';

const EVERY = 10_000;
const BREAKERS = '/api/circuit-breaker/status';

/** A channel between tabs: what one posts, the others receive as copies. */
function exchange(): () => TabChannel {
  const listeners: { of: number; listener: (message: unknown) => void }[] = [];
  let tabs = 0;
  return () => {
    const me = (tabs += 1);
    return {
      post: (message) => listeners.filter(({ of }) => of !== me).forEach(({ listener }) => listener(structuredClone(message))),
      onMessage: (listener) => void listeners.push({ of: me, listener }),
    };
  };
}

async function tab(channel: TabChannel | null, answers: Record<string, unknown> = {}) {
  const { websocket, list } = ladderOfFakes();
  const rest = fakeRest({
    [BREAKERS]: { services: {}, config: {} },
    '/health': { status: 'healthy', services: { cache: {} } },
    '/api/cache/stats': { tiers: {} },
    '/metrics': 'pnl_reconciliation_gap_usd 0.01',
    '/api/health': { status: 'ok', businessTimezone: 'UTC', updateIntervalMs: 5_000 },
    '/api/pnl/history': { count: 0, data: [], timestamp: '' },
    ...answers,
  });
  const store = createPnLStore({ rest, credentials: createCredentials(null, null), storage: null, transports: () => list });
  const visibility = { visible: true };
  const shared = shareSystem({ store, channel, visible: () => visibility.visible, random: Math.random });
  await store.getState().initSocket();
  websocket.up();
  const asked = (path: string): number => rest.asked.filter((one) => one === path).length;
  return { store, shared, visibility, asked, rest };
}

beforeEach(() => void vi.useFakeTimers({ now: T0 }));
afterEach(() => void vi.useRealTimers());

describe('tabs of one browser', () => {
  const total = (tabs: { asked: (path: string) => number }[], path: string): number => tabs.reduce((sum, { asked }) => sum + asked(path), 0);
  const open = async (count: number) => {
    const channel = exchange();
    const tabs: Awaited<ReturnType<typeof tab>>[] = [];
    for (let n = 0; n < count; n += 1) tabs.push(await tab(channel()));
    return tabs;
  };

  it('ask the server as one', async () => {
    const tabs = await open(3);
    for (const { shared } of tabs) shared.subscribe(true);
    await vi.advanceTimersByTimeAsync(1_000);
    const before = total(tabs, BREAKERS);
    expect(before).toBe(1);
    await vi.advanceTimersByTimeAsync(6 * EVERY);
    expect(total(tabs, BREAKERS) - before).toBe(6);
    expect(total(tabs, '/metrics') - before).toBe(6);
    for (const { store } of tabs) expect(store.getState().system).toMatchObject({ health: { status: 'healthy' }, reconciliation: 0.01 });
    expect(new Set(tabs.map(({ store }) => store.getState().system.readAt)).size).toBe(1);
    expect(total(tabs, '/api/health')).toBeLessThanOrEqual(3 + 6); // Each once at its connection, then one of them every 15 s.
  });

  it('go on when the one that asks is closed', async () => {
    const tabs = await open(3);
    const stops = tabs.map(({ shared }) => shared.subscribe(true));
    await vi.advanceTimersByTimeAsync(EVERY);
    const leader = tabs.findIndex(({ asked }) => asked(BREAKERS) > 0);
    stops[leader]?.();
    const others = tabs.filter((_, n) => n !== leader);
    await vi.advanceTimersByTimeAsync(4 * EVERY);
    expect(total(others, BREAKERS)).toBeGreaterThanOrEqual(3);
    expect(total(others, BREAKERS)).toBeLessThanOrEqual(4);
    expect(others.filter(({ asked }) => asked(BREAKERS) > 0)).toHaveLength(1);
  });

  it('go on when the one that asks is hidden, and ask nothing while all are', async () => {
    const tabs = await open(2);
    for (const { shared } of tabs) shared.subscribe(false);
    await vi.advanceTimersByTimeAsync(EVERY);
    const leader = tabs.find(({ asked }) => asked(BREAKERS) > 0);
    const other = tabs.find((one) => one !== leader);
    if (leader === undefined || other === undefined) throw new Error('nobody asks');
    leader.visibility.visible = false;
    await vi.advanceTimersByTimeAsync(3 * EVERY);
    expect(other.asked(BREAKERS)).toBeGreaterThanOrEqual(1);
    other.visibility.visible = false;
    await vi.advanceTimersByTimeAsync(EVERY);
    const before = total(tabs, BREAKERS);
    await vi.advanceTimersByTimeAsync(5 * EVERY);
    expect(total(tabs, BREAKERS)).toBe(before);
  });

  it('read the whole while one of them shows it, and no longer', async () => {
    const [overview, system] = await open(2);
    if (overview === undefined || system === undefined) throw new Error('no tabs');
    overview.shared.subscribe(false);
    await vi.advanceTimersByTimeAsync(EVERY);
    expect(overview.asked('/metrics')).toBe(0);
    const stop = system.shared.subscribe(true);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(system.store.getState().system.health).toMatchObject({ status: 'healthy' });
    await vi.advanceTimersByTimeAsync(5 * EVERY);
    expect(total([overview, system], BREAKERS)).toBeLessThanOrEqual(8);
    stop();
    await vi.advanceTimersByTimeAsync(3 * EVERY);
    const before = total([overview, system], '/metrics');
    await vi.advanceTimersByTimeAsync(3 * EVERY);
    expect(total([overview, system], '/metrics')).toBe(before);
    expect(overview.asked(BREAKERS)).toBeGreaterThan(8);
  });

  it('tell nothing to one that has no connection, as without the key', async () => {
    const [first, second] = await open(2);
    if (first === undefined || second === undefined) throw new Error('no tabs');
    second.store.getState().disconnect();
    first.shared.subscribe(true);
    await vi.advanceTimersByTimeAsync(EVERY);
    expect(first.store.getState().system.health).not.toBeNull();
    expect(second.store.getState().system.health).toBeNull();
  });

  it('ask once more, together, when something changes', async () => {
    const tabs = await open(3);
    for (const { shared } of tabs) shared.subscribe(false);
    await vi.advanceTimersByTimeAsync(EVERY + 1_000);
    const before = total(tabs, BREAKERS);
    for (const { shared } of tabs) shared.readSoon();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(total(tabs, BREAKERS) - before).toBe(1);
  });
});

it('a browser without channels reads for each tab', async () => {
  const { shared, asked } = await tab(null);
  const stop = shared.subscribe(true);
  await vi.advanceTimersByTimeAsync(2 * EVERY);
  expect(asked(BREAKERS)).toBe(3);
  stop();
  await vi.advanceTimersByTimeAsync(2 * EVERY);
  expect(asked(BREAKERS)).toBe(3);
});
