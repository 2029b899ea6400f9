import { describe, expect, it, vi } from 'vitest';
import { createPnLStore } from '../src/createStore.js';
import { createCredentials } from '../src/store/credentials.js';
import { readBreakdown, readSnapshot, UNSTATED } from '../src/store/parse.js';
import { restore } from '../src/store/persist.js';
import { EMPTY_SNAPSHOT, furtherSources, hasFigures, INITIAL, knownSums } from '../src/store/state.js';
import { breakdown, fakeRest, ladderOfFakes, MemoryStorage, snapshot, T0 } from './fixtures.js';

/** A snapshot as the older documents show it: no sources, no epoch, fewer figures. */
const older = {
  totalRevenue: 1_500,
  totalExpenses: 125.5,
  netPnL: 1_374.5,
  grossMargin: 91.63,
  dailyTrend: 5.25,
  components: { kalshi: { balance: 10_000, positions: 3, pnl: 500 }, anthropic: { dailySpend: 5.25 }, johns: { invoiced: 2_000, collected: 1_000 } },
  timestamp: new Date(T0).toISOString(),
};

describe('a snapshot', () => {
  it('that is whole is taken as it is', () => {
    const whole = snapshot(3);
    expect(readSnapshot(whole)).toBe(whole);
  });

  it('of an older form is completed: unknown figures are NaN, unknown sources say so', () => {
    const read = readSnapshot(older);
    expect(read).toMatchObject({ netPnL: 1_374.5, calculatedAt: T0, epoch: '', seq: T0, degraded: [], sources: { kalshi: UNSTATED, johns: UNSTATED } });
    expect(read?.components.kalshi).toMatchObject({ pnl: 500, fees: Number.NaN });
  });

  it.each([null, 7, 'x', [], {}, { netPnL: 1 }, { ...older, netPnL: '1' }, { ...older, netPnL: null }, { ...older, timestamp: 'then' }])('is none: %j', (value) => {
    expect(readSnapshot(value)).toBeNull();
  });

  it.each([
    { sources: { kalshi: { status: 'fine' } } },
    { sources: { ...snapshot(1).sources, johns: { ...snapshot(1).sources.johns, asOf: 'then' } } },
    { sources: 'live' },
    { degraded: null },
    { components: { kalshi: null } },
    { seq: '7' },
  ])('whose parts do not parse is completed: %j', (change) => {
    const read = readSnapshot({ ...snapshot(1), ...change });
    expect(read).toMatchObject({ netPnL: 1_001 });
    expect(Object.keys(read?.sources ?? {})).toEqual(['kalshi', 'anthropic', 'johns']);
    expect(Array.isArray(read?.degraded)).toBe(true);
  });
});

it('a breakdown needs its components, and its lists hold entries only', () => {
  expect(readBreakdown({ kalshi: {} })).toBeNull();
  const read = readBreakdown({ ...breakdown(1), costBreakdown: [null, { name: 'Fees', value: 1 }], agentAttribution: undefined });
  expect(read).toMatchObject({ costBreakdown: [{ name: 'Fees', value: 1, percentage: Number.NaN }], agentAttribution: [] });
});

describe('what the device kept', () => {
  const kept = (state: unknown): MemoryStorage => {
    const storage = new MemoryStorage();
    storage.setItem('pnl-store', JSON.stringify({ state, version: 0 }));
    return storage;
  };

  it('is migrated from an older form, and what does not parse is dropped', () => {
    const read = restore(kept({ pnl: older, history: [older, null, { seq: 1 }], components: older.components, lastUpdate: 'then' }));
    expect(read).toMatchObject({ pnl: { netPnL: 1_374.5, sources: { kalshi: UNSTATED } }, lastUpdate: older.timestamp, server: null });
    expect(read?.history).toHaveLength(1);
  });

  it('comes back unchanged through the storage, dashes included', () => {
    const first = restore(kept({ pnl: older, history: [], components: older.components }));
    expect(restore(kept(first))).toEqual(first);
  });

  it.each([undefined, null, 7, {}, { pnl: {} }, { pnl: [] }])('is nothing usable: %j', (state) => {
    expect(restore(kept(state))).toBeNull();
  });

  it('keeps a server’s facts only where they make sense', () => {
    const state = { pnl: older, server: { businessTimezone: 'Mars/Olympus', updateIntervalMs: -1 } };
    expect(restore(kept(state))?.server).toEqual({ businessTimezone: null, updateIntervalMs: null });
  });

  it('is not written again once it was forgotten', () => {
    vi.useFakeTimers({ now: T0 });
    const storage = kept({ pnl: snapshot(1), history: [], components: snapshot(1).components });
    const { websocket, list } = ladderOfFakes();
    const rest = fakeRest({ '/api/pnl/history': { count: 0, data: [], timestamp: '' } });
    const store = createPnLStore({ rest, credentials: createCredentials(null, null), storage, transports: () => list });
    void store.getState().initSocket();
    websocket.up();
    websocket.events?.snapshot(snapshot(2), snapshot(2).timestamp);
    store.forgetKept();
    websocket.events?.snapshot(snapshot(3), snapshot(3).timestamp);
    store.flush();
    expect(storage.getItem('pnl-store')).toBeNull();
    vi.useRealTimers();
  });
});

it('a message that cannot be read changes no figure and is reported', async () => {
  vi.useFakeTimers({ now: T0 });
  const { websocket, list } = ladderOfFakes();
  const rest = fakeRest({ '/api/pnl/history': { count: 0, data: [], timestamp: '' }, '/api/pnl/breakdown': breakdown(1) });
  const store = createPnLStore({ rest, credentials: createCredentials(null, null), storage: null, transports: () => list });
  await store.getState().initSocket();
  websocket.up();
  websocket.events?.snapshot(snapshot(1), snapshot(1).timestamp);
  websocket.events?.snapshot({ hello: 1 } as never, 'then');
  websocket.events?.components(null as never, 'then');
  websocket.events?.ledger({} as never);
  websocket.events?.dashboard(undefined as never);
  expect(store.getState()).toMatchObject({ error: expect.stringContaining('cannot read'), pnl: { seq: 1 } });
  websocket.events?.snapshot({ ...snapshot(2), sources: undefined } as never, snapshot(2).timestamp);
  expect(store.getState()).toMatchObject({ error: null, pnl: { seq: 2, sources: { kalshi: UNSTATED } } });
  store.getState().disconnect();
  vi.useRealTimers();
});

describe('unknown is not zero', () => {
  it('before the first figures', () => {
    expect(hasFigures(INITIAL.pnl)).toBe(false);
  });

  it('in a sum while neither of the sources that make it has answered', () => {
    expect(knownSums(snapshot(1))).toEqual({ revenue: true, expenses: true });
    expect(knownSums(snapshot(1, { degraded: ['kalshi', 'anthropic'] }))).toEqual({ revenue: true, expenses: false });
    expect(knownSums(snapshot(1, { degraded: ['kalshi', 'johns'] }))).toEqual({ revenue: false, expenses: true });
    expect(knownSums(snapshot(1, { degraded: ['kalshi'] }))).toEqual({ revenue: true, expenses: true });
    expect(knownSums(INITIAL.pnl)).toEqual({ revenue: false, expenses: false });
  });

  it('in every sum while no source has answered', () => {
    expect(hasFigures(snapshot(1, { degraded: ['kalshi', 'anthropic', 'johns'] }))).toBe(false);
    expect(hasFigures(snapshot(1, { degraded: ['kalshi', 'anthropic'] }))).toBe(true);
  });
});

describe('a source that is not known by name', () => {
  const hosting = { spent: 12.5 };
  const state = { status: 'live', tier: 'live', asOf: null, ageMs: null, error: null };

  it('is kept, also where the rest has to be completed', () => {
    const { sources: _, ...older } = { ...snapshot(1), components: { ...snapshot(1).components, hosting } };
    expect(readSnapshot({ ...older, sources: { hosting: state, odd: 'live' } })).toMatchObject({ components: { hosting }, sources: { hosting: state, kalshi: UNSTATED } });
    expect(readSnapshot({ ...older, sources: { hosting: state, odd: 'live' } })?.sources).not.toHaveProperty('odd');
    expect(furtherSources(readSnapshot(older) ?? EMPTY_SNAPSHOT)).toEqual(['hosting']);
  });
});
