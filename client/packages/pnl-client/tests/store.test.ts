import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { PnLStore } from '../src/store/assemble.js';
import { createCredentials } from '../src/store/credentials.js';
import { breakdown, MemoryStorage, snapshot, T0, TICK } from './fixtures.js';
import { build, history, send, settle } from './stage.js';

const seqs = (store: PnLStore): number[] => store.getState().history.map(({ seq }) => seq);

beforeEach(() => void vi.useFakeTimers({ now: T0 }));
afterEach(() => void vi.useRealTimers());

describe('the state that existing applications read', () => {
  it('starts with the fields and zeros of the older store', () => {
    expect(build().store.getState()).toMatchObject({
      socket: null,
      connected: false,
      loading: false,
      error: null,
      lastUpdate: null,
      history: [],
      pnl: { totalRevenue: 0, totalExpenses: 0, netPnL: 0, grossMargin: 0, dailyTrend: 0, timestamp: null, calculatedAt: null },
      components: { kalshi: { balance: 0, positions: 0, pnl: 0 }, anthropic: { dailySpend: 0 }, johns: { invoiced: 0, collected: 0 } },
    });
  });

  it('follows the connection and its messages', async () => {
    const { store, websocket } = build();
    await store.getState().initSocket();
    expect(store.getState()).toMatchObject({ loading: true, connected: false });
    websocket.up();
    send(websocket, 1);
    websocket.events?.components(breakdown(1), 'then');
    await settle();
    expect(store.getState()).toMatchObject({ loading: false, connected: true, transport: 'websocket', pnl: { netPnL: 1_001 } });
    expect(store.getState().lastUpdate).toBe('then');
    store.getState().disconnect();
    expect(store.getState()).toMatchObject({ connected: false, transport: 'offline' });
  });

  it('fetches on request, returns the data and rethrows a failure', async () => {
    const { store, rest } = build({ '/api/pnl/current': snapshot(7), '/api/pnl/history': history(5, 6, 7) });
    await expect(store.getState().fetchCurrentPnL()).resolves.toMatchObject({ seq: 7 });
    expect(store.getState().pnl.seq).toBe(7);
    await expect(store.getState().fetchHistory(3)).resolves.toMatchObject({ count: 3 });
    expect(rest.asked).toContain('/api/pnl/history?limit=3');
    expect(seqs(store)).toEqual([5, 6, 7]);
    await expect(store.getState().fetchComponentBreakdown()).resolves.toMatchObject({ costBreakdown: [] });
    delete rest.answers['/api/pnl/current'];
    await expect(store.getState().fetchCurrentPnL()).rejects.toThrow('nothing at');
    expect(store.getState().error).toContain('nothing at');
    store.getState().clearError();
    store.getState().clearHistory();
    expect(store.getState()).toMatchObject({ error: null, history: [] });
  });
});

describe('nothing is missed', () => {
  it('asks nobody while updates follow each other', async () => {
    const { store, websocket, rest } = build({ '/api/pnl/history': history(1) });
    await store.getState().initSocket();
    websocket.up();
    await settle();
    const asked = rest.asked.filter((path) => path.includes('history')).length;
    for (let n = 1; n <= 20; n += 1) {
      send(websocket, n);
      await vi.advanceTimersByTimeAsync(TICK);
    }
    expect(rest.asked.filter((path) => path.includes('history'))).toHaveLength(asked);
    expect(store.getState().gaps).toEqual([]);
  });

  it('gives the transport the last update as its cursor, from this session only', async () => {
    const { store, websocket, cursor } = build();
    expect(cursor()).toBeNull();
    await store.getState().initSocket();
    websocket.up();
    send(websocket, 9);
    expect(cursor()).toEqual({ epoch: 'k3v9', seq: 9 });
  });

  it('fetches what a jump in the sequence left out', async () => {
    const { store, websocket, rest } = build();
    await store.getState().initSocket();
    websocket.up();
    await settle();
    send(websocket, 2);
    rest.answers['/api/pnl/history'] = history(1, 2, 3, 4, 5, 6);
    await vi.advanceTimersByTimeAsync(TICK);
    send(websocket, 6);
    await settle();
    expect(seqs(store)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(store.getState().gaps).toEqual([]);
  });

  it('takes a replay in order without asking', async () => {
    const { store, websocket } = build();
    await store.getState().initSocket();
    websocket.up();
    await settle();
    for (const n of [1, 2, 3, 4]) send(websocket, n);
    expect(seqs(store)).toEqual([1, 2, 3, 4]);
  });

  it('never goes back to an older figure', async () => {
    const { store, websocket } = build();
    await store.getState().initSocket();
    websocket.up();
    send(websocket, 5);
    send(websocket, 4);
    expect(store.getState().pnl.seq).toBe(5);
  });

  it('follows a server that began again, whatever its clock says', async () => {
    const { store, websocket } = build();
    await store.getState().initSocket();
    websocket.up();
    send(websocket, 900);
    send(websocket, 1, { epoch: 'new' });
    expect(store.getState().pnl).toMatchObject({ epoch: 'new', seq: 1 });
    send(websocket, 2, { epoch: 'new' });
    expect(store.getState().pnl.seq).toBe(2);
  });

  it('notes a stretch that the server no longer holds', async () => {
    const { store, websocket, rest } = build();
    await store.getState().initSocket();
    websocket.up();
    await settle();
    send(websocket, 2);
    await vi.advanceTimersByTimeAsync(TICK);
    rest.answers['/api/pnl/history'] = history(50, 51);
    send(websocket, 51);
    await settle();
    expect(store.getState().gaps).toEqual([{ from: T0 + 2 * TICK, to: T0 + 50 * TICK }]);
    store.getState().dismissGaps();
    expect(store.getState().gaps).toEqual([]);
  });

  it('still owes what could not be fetched, and fetches it later', async () => {
    const { store, websocket, rest } = build();
    await store.getState().initSocket();
    websocket.up();
    await settle();
    send(websocket, 2);
    await vi.advanceTimersByTimeAsync(TICK);
    rest.answers['/api/pnl/history'] = () => {
      throw new Error('busy');
    };
    send(websocket, 6);
    await settle();
    expect(store.getState().error).toBe('busy');
    rest.answers['/api/pnl/history'] = history(2, 3, 4, 5, 6);
    await vi.advanceTimersByTimeAsync(TICK);
    expect(seqs(store)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('catches up by REST after a loss on the lower rungs', async () => {
    const { store, websocket, polling, sse, rest } = build();
    await store.getState().initSocket();
    websocket.up();
    send(websocket, 2);
    await vi.advanceTimersByTimeAsync(TICK);
    websocket.fail();
    rest.answers['/api/pnl/history'] = history(1, 2, 3, 4, 5);
    await vi.advanceTimersByTimeAsync(1_000);
    websocket.fail();
    sse.fail();
    polling.up(false);
    await settle();
    expect(seqs(store)).toEqual([1, 2, 3, 4, 5]);
    expect(store.getState().transport).toBe('polling');
  });

  it('shows the ledger feed at once and fetches the snapshot behind it', async () => {
    const { store, websocket, sse, rest } = build({ '/api/pnl/current?period=today': snapshot(1, { netPnL: 51 }) });
    await store.getState().initSocket();
    websocket.fail();
    sse.up(false);
    await settle();
    expect(store.getState().pnl.netPnL).toBe(1_001);
    await vi.advanceTimersByTimeAsync(TICK);
    rest.answers['/api/pnl/history'] = history(1, 2);
    sse.events?.ledger({
      timestamp: T0 + 2 * TICK,
      kalshiPnL: 502,
      totalCosts: 125.5,
      totalRevenue: 625.5,
      netPnL: 1_002,
      breakdown: { trades: 502, costs: -125.5, revenue: 625.5 },
      components: { openTradeCount: 3, closedTradeCount: 0, recentDeals: 0, deals: [] },
      metadata: { dataPoints: 1, computedAt: T0 },
      degraded: [],
      estimated: false,
      complete: true,
      epoch: 'k3v9',
      seq: 2,
    });
    expect(store.getState().pnl).toMatchObject({ netPnL: 1_002, seq: 1 });
    await settle();
    expect(store.getState().pnl).toMatchObject({ netPnL: 1_002, seq: 2 });
    expect(seqs(store)).toEqual([1, 2]);
    expect(store.getState().baseline?.previousNetPnL).toBe(950);
  });
});

describe('what is kept', () => {
  it('survives the page under the older store’s name, and opens dated', async () => {
    const { store, websocket, storage } = build();
    await store.getState().initSocket();
    websocket.up();
    send(websocket, 3);
    store.flush();
    expect(JSON.parse(storage.getItem('pnl-store') ?? '{}')).toMatchObject({ state: { pnl: { seq: 3 }, components: {} }, version: 0 });

    const again = build({}, storage).store.getState();
    expect(again).toMatchObject({ pnl: { seq: 3, netPnL: 1_003 }, connected: false, receivedAt: null });
    expect(again.lastUpdate).toBe(snapshot(3).timestamp);
  });

  it('is replaced by the first message of the new session without a note about the night', async () => {
    const first = build();
    await first.store.getState().initSocket();
    first.websocket.up();
    send(first.websocket, 3);
    first.store.flush();
    const { store, websocket } = build({ '/api/pnl/history': history(4_000) }, first.storage);
    await store.getState().initSocket();
    websocket.up();
    send(websocket, 4_000);
    await settle();
    expect(store.getState()).toMatchObject({ pnl: { seq: 4_000 }, gaps: [] });
  });

  it('is ignored when it is not ours', () => {
    for (const junk of ['', '{', '7', '{"state":{}}', '{"state":{"pnl":{"netPnL":"x"}}}']) {
      const storage = new MemoryStorage();
      storage.setItem('pnl-store', junk);
      expect(build({}, storage).store.getState().pnl.timestamp).toBeNull();
    }
  });
});

describe('the key', () => {
  it('is asked for when refused and used when given', async () => {
    const { store, websocket } = build();
    await store.getState().initSocket();
    websocket.fail('Invalid or missing API key', 'auth');
    expect(store.getState().keyWanted).toBe('Invalid or missing API key');
    store.getState().setKey('secret', 'tab');
    expect(websocket.opened).toBe(2);
    websocket.up();
    expect(store.getState().keyWanted).toBeNull();
  });

  it('lives where the person said', () => {
    const [tab, device] = [new MemoryStorage(), new MemoryStorage()];
    const keys = createCredentials(tab, device);
    for (const [keeping, storage] of [['tab', tab], ['device', device]] as const) {
      keys.set('secret', keeping);
      expect([keys.get(), keys.keeping(), storage.getItem('pnl-api-key')]).toEqual(['secret', keeping, 'secret']);
    }
    keys.set('secret', 'page');
    expect([keys.get(), keys.keeping(), tab.getItem('pnl-api-key'), device.getItem('pnl-api-key')]).toEqual(['secret', 'page', null, null]);
    keys.forget();
    expect(keys.get()).toBeNull();
  });
});

describe('the system page', () => {
  it('keeps what it last read when a part cannot be read', async () => {
    const { store, rest } = build({
      '/health': { status: 'healthy' },
      '/api/cache/stats': { hitRate: '50.00%' },
      '/api/circuit-breaker/status': { services: {} },
      '/metrics': '# HELP pnl_reconciliation_gap_usd Equity\npnl_reconciliation_gap_usd -0.25\n',
    });
    await store.getState().fetchSystem();
    expect(store.getState().system).toMatchObject({ health: null, cache: null, breakers: { services: {} }, readAt: T0 });
    await store.getState().fetchSystem(true);
    expect(store.getState().system).toMatchObject({ health: { status: 'healthy' }, cache: { hitRate: '50.00%' }, reconciliation: -0.25 });
    delete rest.answers['/api/cache/stats'];
    rest.answers['/metrics'] = 'pnl_reconciliation_gap_usd NaN\n';
    await store.getState().fetchSystem(true);
    expect(store.getState().system).toMatchObject({ cache: { hitRate: '50.00%' }, reconciliation: null });
  });
});
