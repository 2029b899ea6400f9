/** The store without React: state, what the transports' messages do to it, and the actions. */

import { createStore, type StoreApi } from 'zustand/vanilla';
import { ApiError, type Rest } from '../transports/rest';
import { Ladder, type LadderState } from '../transports/ladder';
import type { Cursor, Rung, Transport, TransportEvents } from '../transports/types';
import type { HistoryOf } from '../types/shapes';
import type { Breakdown, BriefHealth, Ledger, Snapshot } from '../types/wire';
import type { Socket } from 'socket.io-client';
import type { Credentials } from './credentials';
import { HISTORY_LIMIT, isNewer, mergeHistory, skips, unrecovered, withLedger } from './history';
import { keeper, restore, type KeyValueStore } from './persist';
import { INITIAL, known, type Baseline, type PnLState } from './state';
import { readSystem } from './system';

/** How often the breakdown is fetched where it is not pushed, and snapshots behind the ledger feed. */
const BREAKDOWN_EVERY_MS = 15_000;
const CATCH_UP_EVERY_MS = 4_500;
/** What a catch-up asks for first: a minute of updates. */
const CATCH_UP_ROWS = 12;
const LATENCY_EVERY_MS = 15_000;

export interface StoreOptions {
  rest: Rest;
  credentials: Credentials;
  /** Where the last numbers are kept; null for nowhere. */
  storage: KeyValueStore | null;
  /** Best first. Given the cursor of the last update seen in this session. */
  transports: (cursor: () => Cursor | null) => readonly Transport[];
  now?: () => number;
  random?: () => number;
}

export type PnLStore = StoreApi<PnLState> & { /** Write what waits to be kept. */ flush: () => void };

export function createPnLStore({ rest, credentials, storage, transports, now = Date.now, random = Math.random }: StoreOptions): PnLStore {
  const store = createStore<PnLState>()(() => ({ ...INITIAL, ...restored(storage), ...actions() }));
  const { getState: get, setState: set } = store;
  const kept = keeper(storage);
  let session: Snapshot | null = null; // The last full snapshot that arrived while this page was open.
  let fetchedBreakdownAt = -Infinity;
  let owed: { last: Snapshot | null } | null = null; // Updates after this one have to be fetched.
  let catchingUp = false;
  let probe: ReturnType<typeof setInterval> | undefined;

  const events: Omit<TransportEvents, 'up' | 'down'> = {
    snapshot: (snapshot, timestamp) => {
      const before = session;
      accept([snapshot], timestamp, before !== null && before.epoch !== snapshot.epoch);
      if (before !== null && isNewer(snapshot, before) && skips(before, snapshot)) catchUp(before);
      if (get().transport !== 'websocket') refreshBreakdown();
    },
    components: (components, timestamp) => {
      set({ components, lastUpdate: timestamp });
      keep();
    },
    dashboard: ({ previousRevenue, previousExpenses, previousNetPnL }) =>
      setBaseline({ previousRevenue, previousExpenses, previousNetPnL }),
    ledger: acceptLedger,
    missed: () => catchUp(session),
    fault: (message) => set({ error: message }),
  };

  const list = transports(() => session && { epoch: session.epoch, seq: session.seq });
  const ladder = new Ladder({ transports: list, events, onState: onLink, onUp, random, now });

  function onLink(link: LadderState): void {
    const up = link.phase === 'up';
    set({
      link,
      connected: up,
      transport: link.rung ?? 'offline',
      loading: link.phase === 'connecting' && get().receivedAt === null,
      keyWanted: link.phase === 'refused' ? (link.reason ?? 'The server wants a key') : null,
      ...(up ? {} : { latencyMs: null }),
      ...(up && !get().connected ? { error: null } : {}),
      ...(link.phase === 'waiting' ? { error: link.reason } : {}),
    });
  }

  function onUp(rung: Rung, { resumed }: { resumed: boolean }): void {
    if (session === null || !resumed) catchUp(session);
    else if (owed !== null && !catchingUp) void fetchOwed();
    if (rung !== 'websocket') {
      refreshBreakdown();
      void fetchBaseline();
    }
    void measureLatency();
  }

  /**
   * Take snapshots in, newest shown; `timestamp` is the envelope's. `anew`: a server that began again sent this one, so
   * it is shown whatever its clock says.
   */
  function accept(snapshots: readonly Snapshot[], timestamp: string, anew = false): void {
    const { history, pnl } = get();
    const newest = snapshots.reduce<Snapshot | null>((best, one) => (best === null || isNewer(one, best) ? one : best), null);
    if (newest === null) return;
    const advances = anew || session === null || isNewer(newest, session);
    if (advances) session = newest;
    set({
      history: mergeHistory(history, snapshots),
      ...(advances || pnl.calculatedAt === null ? { pnl: newest, lastUpdate: timestamp, receivedAt: now(), error: null } : {}),
    });
    keep();
  }

  function acceptLedger(ledger: Ledger): void {
    const shown = known(get().pnl);
    if (shown !== null && ledger.timestamp >= shown.calculatedAt) {
      set({ pnl: withLedger(shown, ledger), lastUpdate: new Date(ledger.timestamp).toISOString(), receivedAt: now() });
    }
    if (session === null || ledger.epoch !== session.epoch || ledger.seq > session.seq) catchUp(session);
    refreshBreakdown();
  }

  /** Fetch what came after `last`. What is owed stays owed until a fetch succeeds, from the earliest point asked for. */
  function catchUp(last: Snapshot | null): void {
    owed ??= { last };
    if (!catchingUp) void fetchOwed();
  }

  async function fetchOwed(): Promise<void> {
    if (owed === null || !get().connected) return;
    const { last } = owed;
    catchingUp = true;
    owed = null;
    try {
      for (const limit of last === null ? [HISTORY_LIMIT] : [CATCH_UP_ROWS, HISTORY_LIMIT]) {
        const { data, timestamp } = await rest.get<HistoryOf<Snapshot>>(`/api/pnl/history?limit=${limit}`);
        accept(data, timestamp);
        const gap = last && unrecovered(last, data);
        if (!gap) break;
        if (limit === HISTORY_LIMIT) set({ gaps: [...get().gaps, gap] });
      }
    } catch (error) {
      owed = { last };
      note(error);
    }
    setTimeout(() => {
      catchingUp = false;
      void fetchOwed();
    }, CATCH_UP_EVERY_MS);
  }

  function refreshBreakdown(): void {
    if (now() - fetchedBreakdownAt < BREAKDOWN_EVERY_MS) return;
    fetchedBreakdownAt = now();
    get().fetchComponentBreakdown().catch(() => undefined); // The action has noted it.
  }

  /** All zeros mean that there is no day before. */
  function setBaseline(baseline: Baseline): void {
    const before = get().baseline;
    const figures = Object.values(baseline);
    if (before !== null && Object.values(before).every((figure, i) => figure === figures[i])) return;
    set({ baseline: figures.some((figure) => figure !== 0) ? baseline : null });
  }

  /** Without the dashboard message, today's change tells what yesterday ended with. */
  async function fetchBaseline(): Promise<void> {
    try {
      const [all, today] = await Promise.all([
        rest.get<Snapshot>('/api/pnl/current'),
        rest.get<Snapshot>('/api/pnl/current?period=today'),
      ]);
      setBaseline({
        previousRevenue: all.totalRevenue - today.totalRevenue,
        previousExpenses: all.totalExpenses - today.totalExpenses,
        previousNetPnL: all.netPnL - today.netPnL,
      });
    } catch (error) {
      note(error);
    }
  }

  async function measureLatency(): Promise<void> {
    const started = performance.now();
    try {
      const api = await rest.plain<BriefHealth>('/api/health');
      const latencyMs = onTheWire('/api/health', started) ?? performance.now() - started;
      if (get().connected) set({ latencyMs, system: { ...get().system, api } });
    } catch {
      set({ latencyMs: null });
    }
  }

  function note(error: unknown): void {
    if (error instanceof ApiError && error.needsKey) return; // The ladder asks for the key.
    if (get().connected) set({ error: error instanceof Error ? error.message : String(error) });
  }

  function keep(): void {
    const { history, components, lastUpdate } = get();
    const pnl = known(get().pnl);
    if (pnl !== null) kept.keep({ pnl, history, components, lastUpdate });
  }

  function actions(): Omit<PnLState, keyof typeof INITIAL> {
    return {
      initSocket: async (options) => {
        if (options?.apiKey !== undefined) credentials.set(options.apiKey, 'page');
        const socket = list.find((transport): transport is Transport & { socket: Socket } => 'socket' in transport)?.socket ?? null;
        set({ socket });
        probe ??= setInterval(() => void (get().connected && measureLatency()), LATENCY_EVERY_MS);
        ladder.start();
      },
      disconnect: () => {
        clearInterval(probe);
        probe = undefined;
        ladder.stop();
        set({ socket: null });
        kept.flush();
      },
      fetchCurrentPnL: () =>
        asked(async () => {
          const snapshot = await rest.get<Snapshot>('/api/pnl/current');
          accept([snapshot], snapshot.timestamp);
          return snapshot;
        }),
      fetchHistory: (limit = HISTORY_LIMIT) =>
        asked(async () => {
          const history = await rest.get<HistoryOf<Snapshot>>(`/api/pnl/history?limit=${limit}`);
          set({ history: history.data });
          keep();
          return history;
        }),
      fetchComponentBreakdown: () =>
        asked(async () => {
          const components = await rest.get<Breakdown>('/api/pnl/breakdown');
          set({ components });
          keep();
          return components;
        }),
      clearError: () => set({ error: null }),
      clearHistory: () => set({ history: [] }),
      setKey: (key, keeping) => {
        credentials.set(key, keeping);
        ladder.restart();
      },
      forgetKey: () => {
        credentials.forget();
        ladder.restart();
      },
      retryNow: () => ladder.retryNow(),
      dismissGaps: () => set({ gaps: [] }),
      fetchSystem: async (whole = false) => {
        const read = await readSystem(rest, get().system, whole);
        set(({ system }) => ({ system: { ...system, ...read, readAt: read.breakers ? now() : system.readAt } }));
      },
      resetBreaker: async (service, adminKey) => {
        await rest.post('/api/circuit-breaker/reset', service === null ? {} : { service }, adminKey ?? credentials.get());
        await get().fetchSystem(true);
      },
    };
  }

  async function asked<Data>(ask: () => Promise<Data>): Promise<Data> {
    try {
      return await ask();
    } catch (error) {
      set({ error: error instanceof Error ? error.message : String(error) });
      throw error;
    }
  }

  return Object.assign(store, { flush: kept.flush });
}

/** ms between request and answer of the fetch of `path` since `started`, without the page's own work; null where nobody tells. */
function onTheWire(path: string, started: number): number | null {
  const entries = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
  const timing = entries.findLast(({ name, startTime }) => startTime >= started && name.endsWith(path));
  return timing !== undefined && timing.requestStart > 0 ? timing.responseStart - timing.requestStart : null;
}

function restored(storage: KeyValueStore | null): Partial<PnLState> {
  return restore(storage) ?? {};
}
