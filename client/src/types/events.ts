/** The messages of the live feeds: Socket.IO events and the ledger feed. */

import type { AgentEntry, Breakdown, CostEntry, Snapshot } from './wire';

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
  costBreakdown: CostEntry[];
  agentAttribution: AgentEntry[];
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
