/**
 * The messages of the wire, made from the server's /openapi.json and /asyncapi.json by `npm run types`. Not written by hand:
 * `npm run e2e` fails while this file and the server's descriptions differ.
 */

export interface AgentEntry {
  agent: string;
  revenue: number;
  expenses: number;
  net: number;
}

/** API spend of the running UTC day and since the beginning; USD. */
export interface AnthropicComponent {
  dailySpend: number;
  totalSpend: number;
}

/** The key, as the first message of a client that gave none in the address. */
export interface Auth {
  type: 'auth';
  apiKey: string;
}

/** The components with their sums, what the costs consist of, and whose they are. */
export interface Breakdown {
  kalshi: KalshiComponent;
  anthropic: AnthropicComponent;
  johns: JohnsComponent;
  summary: Summary;
  costBreakdown: CostEntry[];
  agentAttribution: AgentEntry[];
  timestamp: string;
  epoch: string;
  seq: number;
}

export interface BreakerConfig {
  failureThreshold: number;
  resetTimeout: number;
}

/** Which breaker to close; without a service all of them. */
export interface BreakerReset {
  service?: string;
}

export interface BreakerResetDone {
  reset: string[];
}

export interface BreakerServices {
  kalshi: BreakerState;
  anthropic: BreakerState;
  johns_revenue: BreakerState;
}

export interface BreakerState {
  state: 'CLOSED' | 'OPEN' | 'HALF_OPEN';
  failureCount: number;
  lastFailureTime: number | null;
  lastSuccessTime: number | null;
  nextAttemptTime: number | null;
}

/** One breaker for each upstream; times in ms since the epoch. */
export interface Breakers {
  timestamp: string;
  services: BreakerServices;
  config: BreakerConfig;
}

export interface BriefCacheStats {
  hitRate: string;
  hits: number;
  misses: number;
  total: number;
}

/** The clients and the cache, and what a client needs to read the figures: whose midnights part the days, and how often an update is due. */
export interface BriefHealth {
  status: 'ok';
  timestamp: number;
  connectedClients: number;
  cacheStats: BriefCacheStats;
  uptime: number;
  /** IANA name of the zone of the business days. */
  businessTimezone: string;
  /** Time between two updates, ms. */
  updateIntervalMs: number;
}

export interface CacheCleared {
  cleared: true;
}

export interface CacheServices {
  processCache: string;
  redis: string;
  sqlite: string;
}

export interface CacheStats {
  hits: number;
  misses: number;
  sets: number;
  deletes: number;
  errors: number;
  total: number;
  hitRate: string;
  processCacheSize: number;
  timestamp: string;
  tiers: TiersStats;
}

export interface Components {
  kalshi: KalshiComponent;
  anthropic: AnthropicComponent;
  johns: JohnsComponent;
}

/** The breakdown of the snapshot with the same `seq`. */
export interface ComponentsUpdate {
  data: Breakdown;
  timestamp: string;
  source: 'initial' | 'stream' | 'replay';
}

/** The `auth` of a connection. Socket.IO's own clients add `pid` and `offset` when they come back after a cut. */
export interface ConnectAuth {
  /** The read key; `?apiKey=` in the address does as well. */
  apiKey?: string | null;
  /** Whether broadcasts end with an offset; without it those to browsers and to Node's polling do. */
  recovery?: boolean | null;
  /** Of the connection that was cut, as its CONNECT answer gave it. */
  pid?: string | null;
  /** The last argument of the last broadcast that arrived. */
  offset?: string | null;
}

/** Why a connection was refused; `data` after too many wrong keys. */
export interface ConnectError {
  message: string;
  data?: ConnectErrorData | null;
}

/** As HTTP says it; `retryAfter` in seconds. */
export interface ConnectErrorData {
  status: number;
  retryAfter?: number | null;
}

/** The greeting. */
export interface ConnectSuccess {
  message: string;
  clientId: string;
  timestamp: string;
  transport: 'websocket' | 'polling';
}

/** The CONNECT answer; `pid` only where the connection can be recovered. */
export interface Connected {
  sid: string;
  pid?: string | null;
}

export interface CostEntry {
  name: string;
  value: number;
  percentage: number;
}

/** The sums beside the day before's last (on the first day the first complete ones), and 30 days; USD. */
export interface DashboardMessage {
  timestamp: string;
  revenue: number;
  expenses: number;
  netPnL: number;
  previousRevenue: number;
  previousExpenses: number;
  previousNetPnL: number;
  trendsData: Trend[];
  costBreakdown: CostEntry[];
  agentAttribution: AgentEntry[];
  epoch: string;
  seq: number;
}

/** One of John's deals; USD. */
export interface Deal {
  id: string;
  name: string;
  amount: number;
  status: string;
  closedDate: string | null;
}

/** A delta as an event, with the whole ledger that it leads to beside the envelope. */
export interface DeltaEvent {
  netPnL: number;
  kalshiPnL: number;
  totalCosts: number;
  totalRevenue: number;
  breakdown: LedgerParts;
  components: LedgerCounts;
  metadata: LedgerMetadata;
  timestamp: number;
  epoch: string;
  seq: number;
  type: 'delta';
  data: LedgerDelta;
}

/** A change by a cent or more. */
export interface DeltaMessage {
  type: 'delta';
  data: LedgerDelta;
  timestamp: number;
}

/** `id` stands in the server's log too; `retryAfter` (s) with 429, `stack` in development only. */
export interface ErrorDetail {
  message: string;
  code: string;
  id: string;
  retryAfter?: number | null;
  stack?: string | null;
}

/** A `since` that is none, or too many messages. */
export interface ErrorMessage {
  message: string;
  code: string;
}

/** Figures before rounding, as decimal text; USD. */
export interface Exact {
  netPnL: string;
}

export interface Failure {
  success: false;
  error: ErrorDetail;
  timestamp: string;
}

/** What could not be understood; the third of them closes with 1008. */
export interface FeedError {
  type: 'error';
  message: string;
}

/** `unhealthy` (503) when the loop has stopped or the store cannot be written. */
export interface Health {
  status: 'healthy' | 'unhealthy';
  timestamp: string;
  uptime: number;
  environment: string;
  services: HealthServices;
  demo?: boolean;
  /** Parts that are not well. */
  degraded?: string[];
  parts?: Record<string, HealthPart>;
}

/** One part of the server: what it is doing and since when; `detail`, in production, with a key only. */
export interface HealthPart {
  state: string;
  ok: boolean;
  since: string;
  detail?: string | null;
}

export interface HealthServices {
  cache: CacheServices;
  aggregator: string;
}

/** Oldest first: snapshots when asked by limit, rows when asked by range. */
export interface History {
  count: number;
  data: Snapshot[] | HistoryRow[];
  timestamp: string;
  /** True where `limit` asked for more than is answered at most. */
  limited?: boolean;
}

/** One moment, or one interval: net P&L with its course, and the last of the rest; USD. */
export interface HistoryRow {
  timestamp: number;
  netPnL: number;
  kalshiPnL: number;
  costs: number;
  revenue: number;
  open: number;
  high: number;
  low: number;
  close: number;
  count: number;
  /** With resolution 1d and 1w only: the business day that the row begins with, YYYY-MM-DD. */
  date?: string;
  /** True in rows that `pnl-backend import` took over. */
  imported?: boolean;
}

/** Invoiced and collected revenue; USD. */
export interface JohnsComponent {
  invoiced: number;
  collected: number;
  /** Deals not yet won; counted nowhere. */
  pipeline?: number;
}

/** Trading: cash, open markets, P&L before fees, fees; USD. */
export interface KalshiComponent {
  balance: number;
  positions: number;
  pnl: number;
  realizedPnl: number;
  unrealizedPnl: number;
  fees: number;
  /** How many open positions each kind of mark valued. */
  marks?: Record<string, number>;
}

/** The ledger with its time and its place in the sequence. */
export interface Ledger {
  netPnL: number;
  kalshiPnL: number;
  totalCosts: number;
  totalRevenue: number;
  breakdown: LedgerParts;
  components: LedgerCounts;
  metadata: LedgerMetadata;
  timestamp: number;
  epoch: string;
  seq: number;
}

/** How many markets are open and closed; `recentDeals` counts `deals`. */
export interface LedgerCounts {
  openTradeCount: number;
  closedTradeCount: number;
  recentDeals: number;
  deals: Deal[];
}

/** What changed since the message with `prevSeq`, and the sums that it leads to; USD. */
export interface LedgerDelta {
  timestamp: number;
  netPnLDelta: number;
  kalshiDelta: number;
  costsDelta: number;
  revenueDelta: number;
  changePercent: number;
  netPnL: number;
  kalshiPnL: number;
  totalCosts: number;
  totalRevenue: number;
  breakdown: LedgerParts;
  seq: number;
  prevSeq: number;
}

/** netPnL = kalshiPnL + totalRevenue - totalCosts; `totalRevenue` is what John collected, alone. USD. */
export interface LedgerFigures {
  netPnL: number;
  kalshiPnL: number;
  totalCosts: number;
  totalRevenue: number;
  breakdown: LedgerParts;
  components: LedgerCounts;
  metadata: LedgerMetadata;
}

export interface LedgerMetadata {
  dataPoints: number;
  computedAt: number;
}

export interface LedgerParts {
  trades: number;
  costs: number;
  revenue: number;
}

export interface Ping {
  type: 'ping';
}

/** A whole snapshot: the newest at a subscription, one that was missed, or the next. */
export interface PnLUpdate {
  data: Snapshot;
  timestamp: string;
  source: 'initial' | 'stream' | 'replay';
}

export interface Pong {
  type: 'pong';
  timestamp: number;
}

export interface Probe {
  status: 'live' | 'ready' | 'starting' | 'draining';
}

/** The acknowledgement of what was not done: of an `error`, or of an unknown event (`unknown_event`). */
export interface RefusedAck {
  message: string;
  code: string;
  ok: false;
}

/** The last update that a subscriber saw. */
export interface Since {
  epoch: string;
  seq: number;
}

/** One published P&L. `(epoch, seq)` orders snapshots, `degraded` names sources that have told nothing yet. */
export interface Snapshot {
  totalRevenue: number;
  totalExpenses: number;
  netPnL: number;
  grossMargin: number;
  dailyTrend: number;
  components: Components;
  timestamp: string;
  calculatedAt: number;
  epoch: string;
  seq: number;
  degraded: string[];
  sources: Sources;
  /** The demo: every figure is invented. */
  simulated?: boolean;
  /** False while the ledger could not be written. */
  stored?: boolean;
  /** The net P&L before rounding; absent where the ledger did not keep it. */
  exact?: Exact | null;
  /** Only where a period was asked for. */
  period?: 'all' | 'mtd' | 'today';
}

/** A snapshot as an event: the ledger's fields stand beside the envelope too, for pages that read no envelope. */
export interface SnapshotEvent {
  netPnL: number;
  kalshiPnL: number;
  totalCosts: number;
  totalRevenue: number;
  breakdown: LedgerParts;
  components: LedgerCounts;
  metadata: LedgerMetadata;
  timestamp: number;
  epoch: string;
  seq: number;
  type: 'snapshot';
  data: Ledger;
}

/** The whole ledger: first, every 60 s, and after any gap. */
export interface SnapshotMessage {
  type: 'snapshot';
  data: Ledger;
  timestamp: number;
}

/** Where a source's figures come from and how old they are. */
export interface SourceState {
  status: 'live' | 'stale' | 'degraded';
  tier: 'live' | 'memory' | 'redis' | 'sqlite' | 'fallback';
  asOf: string | null;
  ageMs: number | null;
  error: string | null;
  /** Priced by us, for want of the upstream's own figure. */
  estimated?: boolean;
  /** What an estimate lacks. */
  notes?: string[];
}

export interface Sources {
  kalshi: SourceState;
  anthropic: SourceState;
  johns: SourceState;
}

/** Updates have stopped; it comes once. */
export interface StreamError {
  message: string;
  timestamp: string;
}

/** With `since`, every update after it is replayed while it is held. */
export interface Subscribe {
  since?: Since | null;
}

/** `seq` is the newest update; `recovered` says that nothing between `since` and it is missing. */
export interface SubscribeAck {
  ok: true;
  epoch: string;
  seq: number;
  recovered: boolean;
}

/** What a client is subscribed to; it brings the offset where a change of that brings no update. */
export interface Subscriptions {
  topics: ('pnl' | 'components' | 'dashboard')[];
}

/** The four sums; USD, and percent for the margin. */
export interface Summary {
  totalRevenue: number;
  totalExpenses: number;
  netPnL: number;
  grossMargin: number;
}

export interface TierStats {
  hits: number;
  misses: number;
  size?: number | null;
  p50Ms?: number | null;
  p99Ms?: number | null;
}

export interface TiersStats {
  memory: TierStats;
  redis: TierStats;
  sqlite: TierStats;
  fallback: TierStats;
}

/** One business day: the totals as they stood at its end, today's as they stand; USD. */
export interface Trend {
  date: string;
  revenue: number;
  expenses: number;
  net: number;
}

export interface UnsubscribeAck {
  ok: true;
}
