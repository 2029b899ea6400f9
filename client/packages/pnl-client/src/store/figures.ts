/** The figures of one session: which update is the newest, and what each message changes. */

import type { TransportEvents } from '../transports/types.js';
import type { Ledger, Snapshot } from '../types/wire.js';
import { createCatchUp, type CatchUp } from './catchUp.js';
import { UNREADABLE, type StoreContext } from './context.js';
import { isNewer, mergeHistory, skips, withLedger } from './history.js';
import { isDashboardMessage, isLedger, readBreakdown, readSnapshot } from './parse.js';
import type { Refresh } from './refresh.js';
import { knownSnapshot } from './state.js';

export interface Figures {
  /** The last full snapshot that arrived while this page was open. */
  readonly session: () => Snapshot | null;
  /** Take snapshots in, newest shown; `timestamp` is the envelope's. */
  readonly accept: (snapshots: readonly Snapshot[], timestamp: string) => void;
  readonly catchUp: CatchUp;
  /** What the transports' messages do. */
  readonly events: Omit<TransportEvents, 'up' | 'down'>;
}

export function createFigures(context: StoreContext, refresh: Refresh): Figures {
  const { get, set, keep, now } = context;
  let session: Snapshot | null = null;
  const catchUp = createCatchUp({
    rest: context.rest,
    connected: () => get().connected,
    accept: (snapshots, timestamp) => accept(snapshots, timestamp),
    onGap: (gap) => set({ gaps: [...get().gaps, gap] }),
    onError: context.note,
  });

  /** `anew`: a server with a new epoch sent it, so it is shown whatever its time is. */
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

  function acceptSnapshot(given: unknown, timestamp: string): void {
    const snapshot = readSnapshot(given);
    if (snapshot === null) return set({ error: UNREADABLE });
    const before = session;
    accept([snapshot], timestamp, before !== null && before.epoch !== snapshot.epoch);
    if (before !== null && isNewer(snapshot, before) && skips(before, snapshot)) catchUp.request(before);
    if (get().transport !== 'websocket') refresh.breakdown();
  }

  function acceptLedger(ledger: Ledger): void {
    const shown = knownSnapshot(get().pnl);
    if (shown !== null && ledger.timestamp >= shown.calculatedAt) {
      set({ pnl: withLedger(shown, ledger), lastUpdate: new Date(ledger.timestamp).toISOString(), receivedAt: now() });
    }
    if (session === null || ledger.epoch !== session.epoch || ledger.seq > session.seq) catchUp.request(session);
    refresh.breakdown();
  }

  const events: Figures['events'] = {
    snapshot: acceptSnapshot,
    components: (given, timestamp) => {
      const components = readBreakdown(given);
      if (components === null) return set({ error: UNREADABLE });
      set({ components, lastUpdate: timestamp });
      keep();
    },
    dashboard: (message) => {
      if (!isDashboardMessage(message)) return;
      const { previousRevenue, previousExpenses, previousNetPnL, since } = message;
      refresh.setBaseline({ previousRevenue, previousExpenses, previousNetPnL, ...(since === undefined ? {} : { since }) });
    },
    ledger: (ledger) => (isLedger(ledger) ? acceptLedger(ledger) : set({ error: UNREADABLE })),
    missed: () => catchUp.request(session),
    fault: (message) => set({ error: message }),
  };

  return { session: () => session, accept, catchUp, events };
}
