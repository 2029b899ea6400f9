/** React hooks that read a store, each the parts that belong together. Without a store they read `pnlStore`. */

import { useStore } from 'zustand';
import { useShallow } from 'zustand/react/shallow';
import type { PnLStore } from './createStore.js';
import { pnlStore } from './defaultStore.js';
import type { PnLState } from './store/state.js';

/** `usePnLStore` is a hook, and has the methods of `pnlStore` beside it, as what zustand's `create` returns. */
export interface PnLHook extends PnLStore {
  (): PnLState;
  <Selected>(selector: (state: PnLState) => Selected, store?: PnLStore): Selected;
}

const whole = (state: PnLState): PnLState => state;
const select = (selector: (state: PnLState) => unknown = whole, store: PnLStore = pnlStore): unknown => useStore(store, selector);

/** A selector that builds a new object has to be wrapped in zustand's `useShallow`. */
export const usePnLStore = Object.assign(select, pnlStore) as PnLHook;

export const usePnLSocket = (store: PnLStore = pnlStore): Pick<PnLState, 'initSocket' | 'disconnect'> =>
  useStore(store, useShallow(({ initSocket, disconnect }) => ({ initSocket, disconnect })));

export const useFetchPnL = (store: PnLStore = pnlStore): Pick<PnLState, 'fetchCurrentPnL' | 'fetchHistory' | 'fetchComponentBreakdown'> =>
  useStore(
    store,
    useShallow(({ fetchCurrentPnL, fetchHistory, fetchComponentBreakdown }) => ({ fetchCurrentPnL, fetchHistory, fetchComponentBreakdown })),
  );

export const usePnLConnection = (store: PnLStore = pnlStore): Pick<PnLState, 'connected' | 'loading' | 'error'> =>
  useStore(store, useShallow(({ connected, loading, error }) => ({ connected, loading, error })));

export const usePnLMetrics = (store: PnLStore = pnlStore): PnLState['pnl'] => useStore(store, ({ pnl }) => pnl);
export const usePnLComponents = (store: PnLStore = pnlStore): PnLState['components'] => useStore(store, ({ components }) => components);
export const usePnLHistory = (store: PnLStore = pnlStore): PnLState['history'] => useStore(store, ({ history }) => history);
export const useLastUpdate = (store: PnLStore = pnlStore): PnLState['lastUpdate'] => useStore(store, ({ lastUpdate }) => lastUpdate);
