/** The actions that send requests to the server, and those that only change the state. */

import type { Breakdown, SnapshotHistory } from '../types/wire.js';
import { UNREADABLE, type StoreContext } from './context.js';
import type { Figures } from './figures.js';
import { HISTORY_LIMIT } from './history.js';
import { readBreakdown, readSnapshot, readSnapshots } from './parse.js';
import { furtherSources, type PnLState } from './state.js';
import { readSystem } from './system.js';

type Requests = Pick<PnLState, 'fetchCurrentPnL' | 'fetchHistory' | 'fetchComponentBreakdown' | 'fetchSystem' | 'resetBreaker'>;
type Changes = Pick<PnLState, 'clearError' | 'clearHistory' | 'dismissGaps'>;

export function requests({ get, set, rest, credentials, keep, now }: StoreContext, accept: Figures['accept']): Requests {
  async function loading<Data>(request: () => Promise<Data>): Promise<Data> {
    try {
      return await request();
    } catch (error) {
      set({ error: error instanceof Error ? error.message : String(error) });
      throw error;
    }
  }

  return {
    fetchCurrentPnL: () =>
      loading(async () => {
        const snapshot = readable(readSnapshot(await rest.get('/api/pnl/current')));
        accept([snapshot], snapshot.timestamp);
        return snapshot;
      }),
    fetchHistory: (limit = HISTORY_LIMIT) =>
      loading(async () => {
        const history = await rest.get<SnapshotHistory>(`/api/pnl/history?limit=${limit}`);
        const data = readSnapshots(history.data);
        set({ history: data });
        keep();
        return { ...history, data };
      }),
    fetchComponentBreakdown: () =>
      loading(async () => {
        const components = readable(readBreakdown(await rest.get<Breakdown>('/api/pnl/breakdown')));
        set({ components });
        keep();
        return components;
      }),
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

export function changes({ set }: StoreContext): Changes {
  return {
    clearError: () => set({ error: null }),
    clearHistory: () => set({ history: [] }),
    dismissGaps: () => set({ gaps: [] }),
  };
}

function readable<Value>(value: Value | null): Value {
  if (value === null) throw new Error(UNREADABLE);
  return value;
}
