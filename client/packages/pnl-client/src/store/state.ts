/** The store's state and actions. The first block has the names that existing applications use; the rest is added. */

import type { Socket } from 'socket.io-client';
import type { LadderState } from '../transports/ladder.js';
import type { TransportName } from '../transports/types.js';
import type { SourceName } from '../types/shapes.js';
import type { Breakdown, Breakers, BriefHealth, CacheStats, Components, DashboardMessage, Health, Snapshot, SnapshotHistory, SourceCard, SourceState } from '../types/wire.js';
import type { Keeping } from './credentials.js';
import type { Gap } from './history.js';
import type { ServerFacts } from './server.js';

type Times = 'timestamp' | 'calculatedAt';

/** A snapshot, or before the first message one of zeros whose times are null. */
export type MaybeSnapshot = Omit<Snapshot, Times> & { [Time in Times]: Snapshot[Time] | null };

/** Totals at the end of the day before, to measure today's change against; `since` where they are of the day itself. */
export type Baseline = Pick<DashboardMessage, 'previousRevenue' | 'previousExpenses' | 'previousNetPnL' | 'since'>;

export interface SystemState {
  readonly health: Health | null;
  readonly api: BriefHealth | null;
  readonly breakers: Breakers | null;
  readonly cache: CacheStats | null;
  /** How the sources are shown; null until the server had one that this package does not know by name. */
  readonly sources: readonly SourceCard[] | null;
  /** Equity less net deposits, less P&L after fees (USD); null while the server has no value. */
  readonly reconciliation: number | null;
  /** When these were last read, and `api` (ms since the epoch). */
  readonly readAt: number | null;
  readonly apiReadAt: number | null;
}

export interface InitOptions {
  apiKey?: string;
}

export interface PnLState {
  socket: Socket | null;
  connected: boolean;
  pnl: MaybeSnapshot;
  components: Components | Breakdown;
  history: Snapshot[];
  error: string | null;
  loading: boolean;
  lastUpdate: string | null;

  initSocket: (options?: InitOptions) => Promise<void>;
  disconnect: () => void;
  fetchCurrentPnL: () => Promise<Snapshot>;
  fetchHistory: (limit?: number) => Promise<SnapshotHistory>;
  fetchComponentBreakdown: () => Promise<Breakdown>;
  clearError: () => void;
  clearHistory: () => void;

  transport: TransportName;
  link: LadderState;
  /** Round trip to the server, ms. */
  latencyMs: number | null;
  /** When the shown snapshot arrived at this page (ms since the epoch); null while it is one stored by an earlier visit. */
  receivedAt: number | null;
  baseline: Baseline | null;
  /** The server's zone and interval, those of the last visit until the server has answered; null before the first answer. */
  server: ServerFacts | null;
  /** How far the server's clock is ahead of this one, ms. */
  clockAheadMs: number | null;
  /** True when the server, though connected, did not answer the last request for its health. */
  unanswered: boolean;
  /** Updates of this session that could not be recovered. */
  gaps: Gap[];
  /** `null` while the server accepts the key; else the reason why it does not. */
  keyWanted: string | null;
  system: SystemState;

  setKey: (key: string, keeping: Keeping) => void;
  forgetKey: () => void;
  retryNow: () => void;
  dismissGaps: () => void;
  /** `whole`: also what only the system page shows. */
  fetchSystem: (whole?: boolean) => Promise<void>;
  resetBreaker: (service: string | null, adminKey: string | null) => Promise<void>;
}

const COMPONENTS: Components = {
  kalshi: { balance: 0, positions: 0, pnl: 0, realizedPnl: 0, unrealizedPnl: 0, fees: 0 },
  anthropic: { dailySpend: 0, totalSpend: 0 },
  johns: { invoiced: 0, collected: 0 },
};

const UNKNOWN: SourceState = { status: 'degraded', tier: 'fallback', asOf: null, ageMs: null, error: null };

export const EMPTY_SNAPSHOT: MaybeSnapshot = {
  totalRevenue: 0,
  totalExpenses: 0,
  netPnL: 0,
  grossMargin: 0,
  dailyTrend: 0,
  components: COMPONENTS,
  timestamp: null,
  calculatedAt: null,
  epoch: '',
  seq: 0,
  degraded: [],
  sources: { kalshi: UNKNOWN, anthropic: UNKNOWN, johns: UNKNOWN },
};

export const INITIAL = {
  socket: null,
  connected: false,
  pnl: EMPTY_SNAPSHOT,
  components: COMPONENTS as Components | Breakdown,
  history: [],
  error: null,
  loading: false,
  lastUpdate: null,
  transport: 'offline',
  link: { rung: null, phase: 'stopped', nextTryAt: null, reason: null },
  latencyMs: null,
  receivedAt: null,
  baseline: null,
  server: null,
  clockAheadMs: null,
  unanswered: false,
  gaps: [],
  keyWanted: null,
  system: { health: null, api: null, breakers: null, cache: null, sources: null, reconciliation: null, readAt: null, apiReadAt: null },
} satisfies Partial<PnLState>;

/** The names of the sources beyond the three that every server has, in the snapshot's order. */
export function furtherSources({ components }: Pick<MaybeSnapshot, 'components'>): string[] {
  return Object.keys(components).filter((name) => !(name in COMPONENTS));
}

/** Whether the sums can be shown: there is a snapshot, and not every source is missing from it. */
export function hasFigures({ calculatedAt, degraded, sources }: MaybeSnapshot): boolean {
  return calculatedAt !== null && Object.keys(sources).some((name) => !degraded.includes(name));
}

/** Whether the sums of revenue and of expenses can be shown: each has two sources, of which one must have answered. */
export function knownSums(pnl: MaybeSnapshot): { revenue: boolean; expenses: boolean } {
  const answered = (...makers: SourceName[]): boolean => hasFigures(pnl) && makers.some((name) => !pnl.degraded.includes(name));
  return { revenue: answered('kalshi', 'johns'), expenses: answered('kalshi', 'anthropic') };
}

/** A snapshot that has a time, or null before the first one. */
export function knownSnapshot(pnl: MaybeSnapshot): Snapshot | null {
  return pnl.calculatedAt === null || pnl.timestamp === null ? null : (pnl as Snapshot);
}
