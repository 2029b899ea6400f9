/** The store from its parts: state, what the transports' messages do to it, and the actions. */

import { createStore, type StoreApi } from 'zustand/vanilla';
import type { Endpoints } from '../address.js';
import { ApiError, type Rest } from '../transports/rest.js';
import { changes, requests } from './actions.js';
import { createConnection, type ConnectionParts } from './connection.js';
import type { StoreContext } from './context.js';
import type { Credentials } from './credentials.js';
import { createFigures } from './figures.js';
import { keeper, restore, type Keeper, type KeyValueStore } from './persist.js';
import { createRefresh } from './refresh.js';
import { INITIAL, knownSnapshot, type PnLState } from './state.js';

export interface StoreParts extends Omit<ConnectionParts, 'flush'> {
  rest: Rest;
  credentials: Credentials;
  /** The server's address; called when it is first needed. */
  address: () => Endpoints;
  /** Where the last numbers are kept; null for nowhere. */
  storage: KeyValueStore | null;
  /** Prefix of the name under which they are kept. */
  name: string;
  now: () => number;
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

export function assembleStore(parts: StoreParts): PnLStore {
  const { rest, credentials, address, storage, name } = parts;
  const kept = keeper(storage, name);
  const store = createStore<PnLState>()((set, get) => {
    const context = createContext(parts, kept, get, set);
    const refresh = createRefresh(context);
    const figures = createFigures(context, refresh);
    const connection = createConnection(context, figures, refresh, { ...parts, flush: kept.flush });
    return { ...INITIAL, ...restore(storage, name), ...connection, ...requests(context, figures.accept), ...changes(context) };
  });
  return Object.assign(store, { rest, credentials, address, flush: kept.flush, forgetKept: kept.forget });
}

function createContext({ rest, credentials, now }: StoreParts, kept: Keeper, get: StoreContext['get'], set: StoreContext['set']): StoreContext {
  return {
    get,
    set,
    rest,
    credentials,
    now,
    keep: () => {
      const { history, components, lastUpdate, server } = get();
      const pnl = knownSnapshot(get().pnl);
      if (pnl !== null) kept.keep({ pnl, history, components, lastUpdate, server });
    },
    note: (error) => {
      if (error instanceof ApiError && error.needsKey) return; // The connection reports it.
      if (get().connected) set({ error: error instanceof Error ? error.message : String(error) });
    },
  };
}
