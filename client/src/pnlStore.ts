/** The store that applications import: one instance for the page, and hooks that select from it. */

import { io } from 'socket.io-client';
import { useStore } from 'zustand';
import { useShallow } from 'zustand/shallow';
import { serverAddress, type ServerSettings } from './config';
import { createPnLStore, type PnLStore } from './store/core';
import { credentials } from './store/credentials';
import type { PnLState } from './store/state';
import { pollingTransport } from './transports/polling';
import { createRest } from './transports/rest';
import { socketIoTransport } from './transports/socketio';
import { sseTransport } from './transports/sse';

export type { ServerSettings } from './config';
export type { PnLState } from './store/state';

export const pageCredentials = credentials(storageOf('sessionStorage'), storageOf('localStorage'));
const address = serverAddress(globalThis.location?.origin);

/** Says where the server is, before the store is first used; without it, it is where the page came from, or `http://localhost:3000`. */
export const configurePnLStore = (settings: ServerSettings): void => address.configure(settings);

export const pageApi = (): string => address.get().api;
export const pageRest = createRest({ api: pageApi, key: pageCredentials.get });

export const pnlStore: PnLStore = createPnLStore({
  rest: pageRest,
  credentials: pageCredentials,
  storage: storageOf('localStorage'),
  transports: (cursor) => [
    socketIoTransport({ url: () => address.get().socket, key: pageCredentials.get, cursor, connect: io }),
    sseTransport({ api: pageApi, key: pageCredentials.get }),
    pollingTransport({ rest: pageRest }),
  ],
});

export const usePnLStore = bindStore(pnlStore);

/** The store as a hook that also has `getState`, `setState` and `subscribe`, as zustand's `create` returns it. */
function bindStore(store: PnLStore): PnLHook {
  const hook = (selector?: (state: PnLState) => unknown): unknown => useStore(store, selector ?? whole);
  return Object.assign(hook, store) as PnLHook;
}

type PnLHook = PnLStore & { (): PnLState; <Selected>(selector: (state: PnLState) => Selected): Selected };

const whole = (state: PnLState): PnLState => state;

export const usePnLSocket = (): Pick<PnLState, 'initSocket' | 'disconnect'> =>
  usePnLStore(useShallow(({ initSocket, disconnect }) => ({ initSocket, disconnect })));

export const useFetchPnL = (): Pick<PnLState, 'fetchCurrentPnL' | 'fetchHistory' | 'fetchComponentBreakdown'> =>
  usePnLStore(
    useShallow(({ fetchCurrentPnL, fetchHistory, fetchComponentBreakdown }) => ({ fetchCurrentPnL, fetchHistory, fetchComponentBreakdown })),
  );

export const usePnLConnection = (): Pick<PnLState, 'connected' | 'loading' | 'error'> =>
  usePnLStore(useShallow(({ connected, loading, error }) => ({ connected, loading, error })));

export const usePnLMetrics = (): PnLState['pnl'] => usePnLStore((state) => state.pnl);
export const usePnLComponents = (): PnLState['components'] => usePnLStore((state) => state.components);
export const usePnLHistory = (): PnLState['history'] => usePnLStore((state) => state.history);
export const useLastUpdate = (): PnLState['lastUpdate'] => usePnLStore((state) => state.lastUpdate);

function storageOf(name: 'localStorage' | 'sessionStorage'): Storage | null {
  try {
    return globalThis[name] ?? null;
  } catch {
    return null; // Storage may be forbidden.
  }
}
