/** The store on its real transports against the real server: a broken connection costs no update. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPnLStore, createCredentials, createRest, type PnLStore, pollingTransport, socketIoTransport, type SocketIoTransport } from 'pnl-client';
import { until } from './browser';
import { startServer, type RunningServer } from './server';

const KEY = 'the-read-key-of-these-tests-0123456789';
let server: RunningServer;

beforeAll(async () => void (server = await startServer({ API_KEY: KEY, UPDATE_INTERVAL_MS: '250' })));
afterAll(() => server?.dispose());

function build(): { store: PnLStore; transport: SocketIoTransport } {
  const keys = createCredentials(null, null);
  const rest = createRest({ api: () => server.url, key: keys.get });
  let transport: SocketIoTransport | undefined;
  const store = createPnLStore({
    rest,
    credentials: keys,
    storage: null,
    transports: (cursor) => [(transport = socketIoTransport({ url: () => server.url, key: keys.get, cursor })), pollingTransport({ rest })],
  });
  return { store, transport: transport as SocketIoTransport };
}

const held = (store: PnLStore): number[] => store.getState().history.map(({ seq }) => seq);
const unbroken = (seqs: number[]): number[] => seqs.map((_, i) => (seqs[0] ?? 0) + i);

describe('a connection that breaks', () => {
  it('is recovered by the server, with every update in between', async () => {
    const { store, transport } = build();
    await store.getState().initSocket({ apiKey: KEY });
    try {
      await until(async () => held(store).length, (length) => length >= 4);
      const before = held(store).at(-1) ?? 0;
      transport.socket.io.engine.close();
      await until(async () => store.getState().connected, (connected) => !connected);
      await until(async () => held(store).at(-1) ?? 0, (seq) => seq >= before + 8);
      expect(transport.socket.recovered).toBe(true);
      expect(held(store)).toEqual(unbroken(held(store)));
      expect(store.getState().gaps).toEqual([]);
    } finally {
      store.getState().disconnect();
    }
  });

  it('costs nothing either when it was closed properly', async () => {
    const { store, transport } = build();
    await store.getState().initSocket({ apiKey: KEY });
    try {
      await until(async () => held(store).length, (length) => length >= 4);
      const before = held(store).at(-1) ?? 0;
      transport.socket.disconnect();
      await until(async () => held(store).at(-1) ?? 0, (seq) => seq >= before + 8);
      expect(held(store)).toEqual(unbroken(held(store)));
      expect(store.getState().gaps).toEqual([]);
    } finally {
      store.getState().disconnect();
    }
  });

  it('survives a killed server: the figures go on, in order', async () => {
    const { store } = build();
    await store.getState().initSocket({ apiKey: KEY });
    try {
      await until(async () => held(store).length, (length) => length >= 4);
      const { calculatedAt } = store.getState().pnl;
      await server.kill();
      await until(async () => store.getState().transport, (name) => name === 'offline');
      await server.start();
      store.getState().retryNow();
      await until(async () => store.getState().pnl.calculatedAt ?? 0, (at) => at > (calculatedAt ?? 0) + 500);
      const times = store.getState().history.map((snapshot) => snapshot.calculatedAt);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      expect(store.getState().gaps).toEqual([]);
    } finally {
      store.getState().disconnect();
    }
  });
});
