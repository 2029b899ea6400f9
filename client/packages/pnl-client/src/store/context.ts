/** What the parts of one store share: its state, its server, its clock. */

import type { StoreApi } from 'zustand/vanilla';
import type { Rest } from '../transports/rest.js';
import type { Credentials } from './credentials.js';
import type { PnLState } from './state.js';

/** Of an update or an answer that cannot be shown. */
export const UNREADABLE = 'The server sent an update that this page cannot read';

export interface StoreContext {
  readonly get: StoreApi<PnLState>['getState'];
  readonly set: StoreApi<PnLState>['setState'];
  readonly rest: Rest;
  readonly credentials: Credentials;
  /** ms since the epoch. */
  readonly now: () => number;
  /** Keep the present figures on the device. */
  readonly keep: () => void;
  /** Show why a request in the background failed, while there is a connection. */
  readonly note: (error: unknown) => void;
}
