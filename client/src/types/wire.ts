/**
 * The messages of the wire, as the server describes them in /openapi.json and /asyncapi.json.
 * Nothing here is written for the dashboard's convenience: shapes it derives live beside the code that derives them.
 */

export type SourceName = 'kalshi' | 'anthropic' | 'johns';

export interface Envelope<Data> {
  success: true;
  data: Data;
  timestamp: string;
}

export interface Failure {
  success: false;
  error: { message: string; code?: string; id?: string; retryAfter?: number };
  timestamp: string;
}

export interface KalshiFigures {
  balance: number;
  positions: number;
  pnl: number;
  realizedPnl?: number;
  unrealizedPnl?: number;
  fees?: number;
  marks?: Record<string, number>;
}

export interface AnthropicFigures {
  dailySpend: number;
  totalSpend?: number;
}

export interface JohnsFigures {
  invoiced: number;
  collected: number;
  pipeline?: number;
}

export interface Components {
  kalshi: KalshiFigures;
  anthropic: AnthropicFigures;
  johns: JohnsFigures;
}

export interface SourceState {
  status: string;
  tier: string;
  asOf: string | null;
  ageMs: number | null;
  error: string | null;
  estimated?: boolean;
  notes?: string[];
}

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
  sources: Record<SourceName, SourceState>;
  simulated?: boolean;
  stored?: boolean;
  period?: 'all' | 'mtd' | 'today';
}

export interface Cost {
  name: string;
  value: number;
  percentage: number;
}

export interface Agent {
  agent: string;
  revenue: number;
  expenses: number;
  net: number;
}

export interface Breakdown extends Components {
  summary: { totalRevenue: number; totalExpenses: number; netPnL: number; grossMargin: number };
  costBreakdown: Cost[];
  agentAttribution: Agent[];
  timestamp: string;
}

export interface History {
  count: number;
  data: Snapshot[];
  timestamp: string;
}

export interface Bucket {
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

export interface BucketHistory {
  count: number;
  data: Bucket[];
  timestamp: string;
}

export type Resolution = 'raw' | '1m' | '5m' | '1h' | '1d';

export interface ConnectSuccess {
  message: string;
  clientId: string;
  timestamp: string;
  transport: 'websocket' | 'polling';
}

export interface PnLUpdate {
  data: Snapshot;
  timestamp: string;
  source: 'initial' | 'stream' | 'replay';
}

export interface ComponentsUpdate {
  data: Breakdown;
  timestamp: string;
  source: 'initial' | 'stream' | 'replay';
}

export interface SubscribeAck {
  ok: boolean;
  epoch: string;
  seq: number;
  recovered: boolean;
}

export interface Trend {
  date: string;
  revenue: number;
  expenses: number;
  net: number;
}

export interface DashboardMessage {
  timestamp: string;
  revenue: number;
  expenses: number;
  netPnL: number;
  previousRevenue: number;
  previousExpenses: number;
  previousNetPnL: number;
  trendsData: Trend[];
  costBreakdown: Cost[];
  agentAttribution: Agent[];
}

export interface StreamError {
  message: string;
  code?: string;
  timestamp?: string;
}

export interface Ledger {
  timestamp: number;
  kalshiPnL: number;
  totalCosts: number;
  totalRevenue: number;
  netPnL: number;
  breakdown: { trades: number; costs: number; revenue: number };
  components: { openTradeCount: number; closedTradeCount: number; recentDeals: unknown };
  metadata: { dataPoints: number; computedAt: number };
  epoch: string;
  seq: number;
}

export interface LedgerDelta {
  timestamp: number;
  netPnLDelta: number;
  kalshiDelta: number;
  costsDelta: number;
  revenueDelta: number;
  changePercent: number;
  seq: number;
  prevSeq: number;
}

export type LedgerMessage =
  | { type: 'snapshot'; data: Ledger; timestamp: number }
  | { type: 'delta'; data: LedgerDelta; timestamp: number };

export interface Breaker {
  state: 'CLOSED' | 'OPEN' | 'HALF_OPEN';
  failureCount: number;
  lastFailureTime: number | null;
  lastSuccessTime: number | null;
  nextAttemptTime: number | null;
}

export interface BreakerStatus {
  timestamp: string;
  services: Record<string, Breaker>;
  config: { failureThreshold: number; resetTimeout: number };
}

export interface CacheTier {
  hits?: number;
  misses?: number;
  size?: number;
  p50Ms?: number;
  p99Ms?: number;
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
  tiers: Record<string, CacheTier>;
  keys: Record<string, unknown>;
}

export interface HealthPart {
  state: string;
  ok: boolean;
  since: string;
  detail?: string;
}

export interface Health {
  status: 'healthy' | 'unhealthy';
  timestamp: string;
  uptime: number;
  environment: string;
  demo?: boolean;
  degraded?: string[];
  parts?: Record<string, HealthPart>;
  services: {
    cache: { processCache: string; redis: string; sqlite: string };
    aggregator: string;
  };
}

export interface ApiHealth {
  status: string;
  timestamp: number;
  connectedClients: number;
  cacheStats: { hitRate: string; hits: number; misses: number; total: number };
  uptime: number;
}
