import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createPnLStore } from '../src/createStore.js';
import { breakdown, fakeRest, ladderOfFakes, MemoryStorage, snapshot, T0 } from './fixtures.js';

const device = new MemoryStorage();
const tab = new MemoryStorage();

beforeEach(() => {
  vi.useFakeTimers({ now: T0 });
  vi.stubGlobal('localStorage', device);
  vi.stubGlobal('sessionStorage', tab);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  for (const storage of [device, tab]) for (const name of ['pnl', 'one', 'other']) for (const what of ['store', 'api-key']) storage.removeItem(`${name}-${what}`);
});

/** A store that has received its `n`th snapshot and written it where it keeps it. */
async function received(name: string | undefined, n: number) {
  const { websocket, list } = ladderOfFakes();
  const rest = fakeRest({ '/api/pnl/history': { count: 0, data: [], timestamp: '' }, '/api/pnl/breakdown': breakdown(1) });
  const store = createPnLStore({ ...(name === undefined ? {} : { name }), rest, transports: () => list });
  await store.getState().initSocket();
  websocket.up();
  websocket.events?.snapshot(snapshot(n), snapshot(n).timestamp);
  store.getState().disconnect();
  return store;
}

it('stores of two names keep their figures and their keys apart', async () => {
  const [one, other] = [await received('one', 1), await received('other', 2)];
  expect([one, other].map((store) => store.getState().pnl.seq)).toEqual([1, 2]);
  expect(['one', 'other'].map((name) => createPnLStore({ name }).getState().pnl.seq)).toEqual([1, 2]);
  one.credentials.set('k1', 'device');
  other.credentials.set('k2', 'tab');
  expect(['one', 'other'].map((name) => createPnLStore({ name }).credentials.get())).toEqual(['k1', 'k2']);
  other.forgetKept();
  other.credentials.forget();
  expect(['one', 'other'].map((name) => createPnLStore({ name }).getState().pnl.seq)).toEqual([1, 0]);
  expect(['one', 'other'].map((name) => createPnLStore({ name }).credentials.get())).toEqual(['k1', null]);
});

it('a store without a name keeps nothing and finds nothing', async () => {
  await received('pnl', 1);
  const kept = device.getItem('pnl-store');
  const store = await received(undefined, 2);
  store.credentials.set('k', 'device');
  expect(store.credentials.get()).toBe('k');
  expect(device.getItem('pnl-store')).toBe(kept);
  expect(device.getItem('pnl-api-key')).toBeNull();
  expect(createPnLStore().getState().pnl.seq).toBe(0);
});

it('the name "pnl" finds what the default store has kept', async () => {
  await received('pnl', 3);
  const { pnlStore } = await import('../src/defaultStore.js');
  expect(pnlStore.getState().pnl.seq).toBe(3);
});

it('a key that is given is used and not kept, whatever was kept before', () => {
  createPnLStore({ name: 'one' }).credentials.set('kept', 'device');
  expect(createPnLStore({ name: 'one' }).credentials.get()).toBe('kept');
  const { credentials } = createPnLStore({ name: 'one', apiKey: 'given' });
  expect([credentials.get(), credentials.keeping(), device.getItem('one-api-key')]).toEqual(['given', 'page', null]);
});

it('the store’s requests go to its own server with its own key', async () => {
  const asked: [url: string, key: string | null][] = [];
  vi.stubGlobal('fetch', async (url: string, { headers }: { headers: Headers }) => {
    asked.push([url, headers.get('X-API-Key')]);
    return Response.json({ success: true, data: snapshot(1), timestamp: '' });
  });
  const stores = [createPnLStore({ apiUrl: 'https://one.example/', apiKey: 'k1' }), createPnLStore({ apiUrl: 'https://other.example/api' })];
  for (const store of stores) await store.getState().fetchCurrentPnL();
  expect(asked).toEqual([
    ['https://one.example/api/pnl/current', 'k1'],
    ['https://other.example/api/pnl/current', null],
  ]);
  expect(stores.map((store) => store.address().api)).toEqual(['https://one.example', 'https://other.example']);
});

it('an address that cannot be used is an error at once', () => {
  expect(() => createPnLStore({ apiUrl: 'localhost:3000' })).toThrow('apiUrl has to begin with http://, https:// or a slash, unlike "localhost:3000"');
});

it('a connection that is given up in the same turn is never opened', async () => {
  const { websocket, list } = ladderOfFakes();
  const store = createPnLStore({ rest: fakeRest({}), transports: () => list });
  const { initSocket, disconnect } = store.getState();
  void initSocket(); // As React's strict mode runs an effect, its end, and the effect again.
  disconnect();
  void initSocket();
  await vi.advanceTimersByTimeAsync(0);
  expect(websocket.opened).toBe(1);
  disconnect();
  void initSocket();
  disconnect();
  await vi.advanceTimersByTimeAsync(0);
  expect([websocket.opened, store.getState().link.phase]).toEqual([1, 'stopped']);
});
