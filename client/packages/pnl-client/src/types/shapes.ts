/** Shapes around the wire's schemas that a schema does not name. */

import type { DeltaMessage, SnapshotMessage, Sources } from './wire.js';

export type SourceName = keyof Sources;

export type Resolution = 'raw' | '1m' | '5m' | '1h' | '1d';

/** What every successful REST answer but the health ones wears. */
export interface Envelope<Data> {
  success: true;
  data: Data;
  timestamp: string;
}

/** What the ledger feed sends by itself. */
export type LedgerMessage = SnapshotMessage | DeltaMessage;
