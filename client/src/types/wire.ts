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

/** The components with their sums, what the costs consist of, and whose they are. */
export interface Breakdown {
  kalshi: KalshiComponent;
  anthropic: AnthropicComponent;
  johns: JohnsComponent;
  summary: Summary;
  costBreakdown: CostEntry[];
  agentAttribution: AgentEntry[];
  timestamp: string;
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

export interface BriefHealth {
  status: 'ok';
  timestamp: number;
  connectedClients: number;
  cacheStats: BriefCacheStats;
  uptime: number;
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

export interface CostEntry {
  name: string;
  value: number;
  percentage: number;
}

/** `id` stands in the server's log too; `retryAfter` (s) with 429, `stack` in development only. */
export interface ErrorDetail {
  message: string;
  code: string;
  id: string;
  retryAfter?: number | null;
  stack?: string | null;
}

export interface Failure {
  success: false;
  error: ErrorDetail;
  timestamp: string;
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

/** One part of the server: what it is doing and since when; `detail` outside production only. */
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

export interface Probe {
  status: 'live' | 'ready' | 'starting' | 'draining';
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
  /** Only where a period was asked for. */
  period?: 'all' | 'mtd' | 'today';
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
