/** Shapes around the wire's schemas that a schema does not name. */

import type { DeltaMessage, SnapshotMessage, Sources, Success } from './wire.js';

export type SourceName = keyof Sources;

/** Every successful REST answer except those about health. */
export type Envelope<Data> = Omit<Success, 'data'> & { data: Data };

/** What the ledger feed sends without being asked. */
export type LedgerMessage = SnapshotMessage | DeltaMessage;
