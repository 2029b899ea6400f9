/** The store from its parts: state, what the transports' messages do to it, and the actions. */

import { createStore, type StoreApi } from 'zustand/vanilla';
import type { Endpoints } from '../address.js';
import { ApiError, type Rest } from '../transports/rest.js';
import { Ladder, type LadderState } from '../transports/ladder.js';
import type { Cursor, Rung, Transport, TransportEvents } from '../transports/types.js';
import type { Breakdown, Ledger, Snapshot, SnapshotHistory } from '../types/wire.js';
import type { Socket } from 'socket.io-client';
import { createCatchUp } from './catchUp.js';
import type { Credentials } from './credentials.js';
import { HISTORY_LIMIT, isNewer, mergeHistory, skips, withLedger } from './history.js';
import { isDashboardMessage, isLedger, readBreakdown, readSnapshot, readSnapshots } from './parse.js';
import { keeper, restore, type KeyValueStore } from './persist.js';
import { NO_FACTS, probe } from './server.js';
import { furtherSources, INITIAL, knownSnapshot, type Baseline, type PnLState } from './state.js';
import { readSystem } from './system.js';

/** How often the breakdown is fetched where it is not pushed. */
const BREAKDOWN_EVERY_MS = 15_000;
const PROBE_EVERY_MS = 15_000;
/** Timers of several tabs are not in step: an answer that another tab got within this time will do. */
const PROBE_FRESH_MS = PROBE_EVERY_MS - 1_000;
const UNREADABLE = 'The server sent an update that this page cannot read';

export interface StoreParts {
  rest: Rest;
  credentials: Credentials;
  /** Where the server is; asked for when it is first needed. */
  address: () => Endpoints;
  /** Where the last numbers are kept; null for nowhere. */
  storage: KeyValueStore | null;
  /** Prefix of the name under which they are kept. */
  name: string;
  /** Best first. Given the cursor of the last update seen in this session. */
  transports: (cursor: () => Cursor | null) => readonly Transport[];
  now: () => number;
  random: () => number;
}

export interface PnLStore extends StoreApi<PnLState> {
  /** Requests to this store's server, with its key. */
  readonly rest: Rest;
  /** The key of this store's server, and where it is kept. */
  readonly credentials: Credentials;
  /** Where this store's server is. */
  readonly address: () => Endpoints;
  /** Write what waits to be kept. */
  flush: () => void;
  /** Remove what was kept on the device, and keep nothing more. */
  forgetKept: () => void;
}

export function assembleStore({ rest, credentials, address, storage, name, transports, now, random }: StoreParts): PnLStore {
  const store = createStore<PnLState>()(() => ({ ...INITIAL, ...restore(storage, name), ...actions() }));
  const { getState: get, setState: set } = store;
  const kept = keeper(storage, name);
  let session: Snapshot | null = null; // The last full snapshot that arrived while this page was open.
  let fetchedBreakdownAt = -Infinity;
  let probing: ReturnType<typeof setInterval> | undefined;
  let wanted = false; // Between `initSocket` and `disconnect`.
  const catchUp = createCatchUp({
    rest,
    connected: () => get().connected,
    accept: (snapshots, timestamp) => accept(snapshots, timestamp),
    onGap: (gap) => set({ gaps: [...get().gaps, gap] }),
    onError: note,
  });

  const events: Omit<TransportEvents, 'up' | 'down'> = {
    snapshot: (given, timestamp) => {
      const snapshot = readSnapshot(given);
      if (snapshot === null) return set({ error: UNREADABLE });
      const before = session;
      accept([snapshot], timestamp, before !== null && before.epoch !== snapshot.epoch);
      if (before !== null && isNewer(snapshot, before) && skips(before, snapshot)) catchUp.want(before);
      if (get().transport !== 'websocket') refreshBreakdown();
    },
    components: (given, timestamp) => {
      const components = readBreakdown(given);
      if (components === null) return set({ error: UNREADABLE });
      set({ components, lastUpdate: timestamp });
      keep();
    },
    dashboard: (message) => {
      if (!isDashboardMessage(message)) return;
      const { previousRevenue, previousExpenses, previousNetPnL } = message;
      setBaseline({ previousRevenue, previousExpenses, previousNetPnL });
    },
    ledger: (ledger) => (isLedger(ledger) ? acceptLedger(ledger) : set({ error: UNREADABLE })),
    missed: () => catchUp.want(session),
    fault: (message) => set({ error: message }),
  };

  const list = transports(() => session && session.epoch !== '' ? { epoch: session.epoch, seq: session.seq } : null);
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
    if (session === null || !resumed) catchUp.want(session);
    else catchUp.resume();
    if (rung !== 'websocket') {
      refreshBreakdown();
      void fetchBaseline();
    }
    void measure();
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
      ...(advances || pnl.calculatedAt === null ? { pnl: newest, lastUpdate: timestamp, receivedAt: now(), error: null, unanswered: false } : {}),
    });
    keep();
  }

  function acceptLedger(ledger: Ledger): void {
    const shown = knownSnapshot(get().pnl);
    if (shown !== null && ledger.timestamp >= shown.calculatedAt) {
      set({ pnl: withLedger(shown, ledger), lastUpdate: new Date(ledger.timestamp).toISOString(), receivedAt: now() });
    }
    if (session === null || ledger.epoch !== session.epoch || ledger.seq > session.seq) catchUp.want(session);
    refreshBreakdown();
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

  /** Asks the server how it is; `unlessFresh` leaves it at an answer that this or another tab got just now. */
  async function measure(unlessFresh = false): Promise<void> {
    const { apiReadAt } = get().system;
    if (unlessFresh && apiReadAt !== null && now() - apiReadAt < PROBE_FRESH_MS) return;
    try {
      const { api, server, latencyMs, clockAheadMs } = await probe(rest, now);
      if (!get().connected) return;
      set(({ system, ...before }) => ({
        latencyMs,
        server: same(before.server, server) ? before.server : server,
        clockAheadMs: clockAheadMs ?? before.clockAheadMs,
        unanswered: false,
        system: { ...system, api, apiReadAt: now() },
      }));
      keep();
    } catch {
      set({ latencyMs: null, unanswered: get().connected, server: get().server ?? NO_FACTS });
    }
  }

  function note(error: unknown): void {
    if (error instanceof ApiError && error.needsKey) return; // The ladder asks for the key.
    if (get().connected) set({ error: error instanceof Error ? error.message : String(error) });
  }

  function keep(): void {
    const { history, components, lastUpdate, server } = get();
    const pnl = knownSnapshot(get().pnl);
    if (pnl !== null) kept.keep({ pnl, history, components, lastUpdate, server });
  }

  function actions(): Omit<PnLState, keyof typeof INITIAL> {
    return {
      initSocket: async (options) => {
        if (options?.apiKey !== undefined) credentials.set(options.apiKey, 'page');
        const socket = list.find((transport): transport is Transport & { socket: Socket } => 'socket' in transport)?.socket ?? null;
        set({ socket });
        wanted = true;
        await Promise.resolve(); // React's strict mode disconnects and calls this again before anything was opened.
        if (!wanted) return;
        probing ??= setInterval(() => void (get().connected && measure(true)), PROBE_EVERY_MS);
        ladder.start();
      },
      disconnect: () => {
        wanted = false;
        clearInterval(probing);
        probing = undefined;
        ladder.stop();
        set({ socket: null });
        kept.flush();
      },
      fetchCurrentPnL: () =>
        asked(async () => {
          const snapshot = readable(readSnapshot(await rest.get('/api/pnl/current')));
          accept([snapshot], snapshot.timestamp);
          return snapshot;
        }),
      fetchHistory: (limit = HISTORY_LIMIT) =>
        asked(async () => {
          const history = await rest.get<SnapshotHistory>(`/api/pnl/history?limit=${limit}`);
          const data = readSnapshots(history.data);
          set({ history: data });
          keep();
          return { ...history, data };
        }),
      fetchComponentBreakdown: () =>
        asked(async () => {
          const components = readable(readBreakdown(await rest.get<Breakdown>('/api/pnl/breakdown')));
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
        const read = await readSystem(rest, get().system, { whole, further: furtherSources(get().pnl).length > 0 });
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

  return Object.assign(store, { rest, credentials, address, flush: kept.flush, forgetKept: kept.forget });
}

function readable<Value>(value: Value | null): Value {
  if (value === null) throw new Error(UNREADABLE);
  return value;
}

function same(one: object | null, other: object): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
