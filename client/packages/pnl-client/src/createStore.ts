/** A store for one server. Several on a page are independent if their names differ. */

import { socketIoTransport } from './transports/socketio.js';
import { pollingTransport } from './transports/polling.js';
import { createRest } from './transports/rest.js';
import { sseTransport } from './transports/sse.js';
import { endpoints, pageOrigin, type Endpoints, type ServerSettings } from './address.js';
import { assembleStore, type PnLStore, type StoreParts } from './store/assemble.js';
import { createCredentials, type Credentials } from './store/credentials.js';
import { DEFAULT_NAME, type KeyValueStore } from './store/persist.js';

export type { PnLStore } from './store/assemble.js';

/** Each is optional. `apiUrl`, `wsUrl` and `wsSecure` are the server's address; by default it is the page's own origin. */
export interface PnLStoreOptions extends ServerSettings, Partial<Omit<StoreParts, 'address'>> {
  /** The read key; it is not stored. */
  readonly apiKey?: string | undefined;
  /**
   * Keeps the last figures in `localStorage` as `${name}-store`, and a key that `setKey` is to keep as `${name}-api-key`.
   * Each store of an origin needs a name of its own; without one nothing is stored.
   */
  readonly name?: string;
}

/** Connects when `initSocket` is called. Throws when an address cannot be used. */
export function createPnLStore({ apiUrl, wsUrl, wsSecure, ...options }: PnLStoreOptions = {}): PnLStore {
  const address = endpoints({ apiUrl, wsUrl, wsSecure }, pageOrigin());
  return storeAt(() => address, options);
}

/** As `createPnLStore`, for an address that is not yet known. */
export function storeAt(address: () => Endpoints, options: Omit<PnLStoreOptions, keyof ServerSettings>): PnLStore {
  const { name, apiKey, now = Date.now, random = Math.random } = options;
  const device = name === undefined ? null : browserStorage('localStorage');
  const tab = name === undefined ? null : browserStorage('sessionStorage');
  const { storage = device, credentials = createCredentials(tab, device, name) }: { storage?: KeyValueStore | null; credentials?: Credentials } = options;
  if (apiKey !== undefined) credentials.set(apiKey, 'page');
  const api = (): string => address().api;
  const { rest = createRest({ api, key: credentials.get }) } = options;
  const standard: StoreParts['transports'] = (cursor) => [
    socketIoTransport({ url: () => address().socket, key: credentials.get, cursor }),
    sseTransport({ api, key: credentials.get }),
    pollingTransport({ rest }),
  ];
  const { transports = standard } = options;
  return assembleStore({ rest, credentials, address, storage, name: name ?? DEFAULT_NAME, transports, now, random });
}

function browserStorage(name: 'localStorage' | 'sessionStorage'): Storage | null {
  try {
    return globalThis[name] ?? null;
  } catch {
    return null; // Storage may be forbidden.
  }
}
