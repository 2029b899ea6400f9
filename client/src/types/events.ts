/** The messages of the live feeds; their shapes are the server's own. */

import type { DeltaMessage, SnapshotMessage } from './wire';

export type {
  ComponentsUpdate,
  ConnectSuccess,
  DashboardMessage,
  ErrorMessage,
  Ledger,
  LedgerDelta,
  PnLUpdate,
  StreamError,
  SubscribeAck,
  Trend,
} from './wire';

export type LedgerMessage = SnapshotMessage | DeltaMessage;
