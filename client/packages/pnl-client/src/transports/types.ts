/** The interface of a transport: it connects, reports when the connection is up or down, and passes messages on. */

import type { Breakdown, DashboardMessage, Ledger, Since, Snapshot } from '../types/wire.js';

/** The transports, best first. */
export type Rung = 'websocket' | 'sse' | 'polling';
export type TransportName = Rung | 'offline';

/** The last update that was received. */
export type Cursor = Readonly<Since>;

/** `auth`: the server needs a key, or another one; trying again without a new key is pointless. */
export interface Down {
  readonly kind: 'network' | 'auth';
  readonly message: string;
}

export interface TransportEvents {
  /** `resumed`: whatever was missed has been or is being sent, so nothing needs to be fetched. */
  up(state: { resumed: boolean }): void;
  down(reason: Down): void;
  snapshot(snapshot: Snapshot, timestamp: string): void;
  components(breakdown: Breakdown, timestamp: string): void;
  dashboard(message: DashboardMessage): void;
  ledger(ledger: Ledger): void;
  /** Some updates did not arrive, and this transport cannot fetch them. */
  missed(): void;
  fault(message: string): void;
}

export interface Transport {
  readonly rung: Rung;
  /** Calls `up` or `down` once, later `down` when it is lost. May be opened again after `down` or `close`. */
  open(events: TransportEvents): void;
  /** Nothing is called after this. */
  close(): void;
}
