/** The documented client of before, unchanged: zustand 4 and socket.io-client with their stock settings. */

import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { create } from 'zustand4';
import type { Breakdown, ConnectSuccess, DashboardMessage, Snapshot, SnapshotHistory } from 'pnl-client';
import { until } from './browser';
import { startServer, type RunningServer } from './server';

const KEY = 'the-read-key-of-these-tests-0123456789';
let server: RunningServer;

beforeAll(async () => void (server = await startServer({ API_KEY: KEY })));
afterAll(() => server?.dispose());

interface OldState {
  connected: ConnectSuccess | null;
  pnl: Snapshot | null;
  components: Breakdown | null;
  dashboard: DashboardMessage | null;
  history: Snapshot[];
  lastUpdate: string | null;
  error: string | null;
  initSocket: (key: string) => Socket;
  fetchHistory: (limit: number) => Promise<void>;
}

function oldStore() {
  return create<OldState>()((set, get) => ({
    connected: null,
    pnl: null,
    components: null,
    dashboard: null,
    history: [],
    lastUpdate: null,
    error: null,
    initSocket: (apiKey) => {
      const socket = io(server.url, { auth: { apiKey }, forceNew: true });
      socket.on('connect_success', (data: ConnectSuccess) => {
        set({ connected: data });
        socket.emit('subscribe_pnl');
        socket.emit('subscribe_components');
        socket.emit('subscribe_dashboard');
      });
      socket.on('pnl_update', (message: { data: Snapshot; timestamp: string }) =>
        set({ pnl: message.data, lastUpdate: message.timestamp, history: [...get().history.slice(-99), message.data] }),
      );
      socket.on('components_update', (message: { data: Breakdown }) => set({ components: message.data }));
      socket.on('pnl-update', (message: DashboardMessage) => set({ dashboard: message }));
      socket.on('connect_error', (error) => set({ error: error.message }));
      socket.on('error', (error: { message: string }) => set({ error: error.message }));
      return socket;
    },
    fetchHistory: async (limit) => {
      const response = await fetch(`${server.url}/api/pnl/history?limit=${limit}`, { headers: { 'x-api-key': KEY } });
      const { data } = (await response.json()) as { data: SnapshotHistory };
      set({ history: data.data });
    },
  }));
}

describe('the older client', () => {
  it('connects, subscribes and sees the numbers move', async () => {
    const store = oldStore();
    const socket = store.getState().initSocket(KEY);
    try {
      await until(async () => !!store.getState().components && !!store.getState().dashboard && store.getState().history.length >= 3, Boolean);
      const state = store.getState();
      expect(state.connected).toMatchObject({ message: 'Connected to P&L streaming server', clientId: socket.id });
      expect(state.pnl).toMatchObject({ components: { kalshi: {}, anthropic: {}, johns: {} } });
      for (const { totalRevenue, totalExpenses, netPnL } of state.history) expect(totalRevenue - totalExpenses).toBeCloseTo(netPnL, 6);
      const seqs = state.history.map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.map((_, i) => (seqs[0] ?? 0) + i));
      expect(Object.keys(state.components ?? {})).toEqual(expect.arrayContaining(['kalshi', 'anthropic', 'johns', 'summary', 'costBreakdown', 'agentAttribution']));
      expect(state.dashboard?.trendsData.length).toBeGreaterThan(0);
      expect(Date.parse(state.lastUpdate ?? '')).toBeGreaterThan(0);
      expect(state.error).toBeNull();
      await store.getState().fetchHistory(2);
      expect(store.getState().history).toHaveLength(2);
    } finally {
      socket.disconnect();
    }
  });

  it('is told why when its key is wrong', async () => {
    const store = oldStore();
    const socket = store.getState().initSocket('not-the-key');
    try {
      const { error } = await until(async () => store.getState(), (state) => state.error !== null);
      expect(error).toBe('Invalid or missing API key');
    } finally {
      socket.disconnect();
    }
  });

  it('comes back after a broken connection with its state recovered', async () => {
    const store = oldStore();
    const socket = store.getState().initSocket(KEY);
    try {
      await until(async () => store.getState().history.length, (length) => length >= 2);
      const before = store.getState().history.length;
      socket.io.engine.close();
      await until(async () => socket.connected, (connected) => !connected);
      await until(async () => store.getState().history.length, (length) => length >= before + 3);
      expect(socket.recovered).toBe(true);
      // It subscribes again after its recovery, so it is told the newest figures once more.
      const seqs = store.getState().history.map(({ seq }) => seq).filter((seq, i, all) => seq !== all[i - 1]);
      expect(seqs).toEqual(seqs.map((_, i) => (seqs[0] ?? 0) + i));
    } finally {
      socket.disconnect();
    }
  });
});
