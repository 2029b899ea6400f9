/** Snapshots and stand-ins for what a test must be able to break on command. */

import type { Rest } from '../src/transports/rest.js';
import type { Rung, Transport, TransportEvents } from '../src/transports/types.js';
import type { Breakdown, HistoryRow, Snapshot, SourceState } from '../src/types/wire.js';

export const T0 = Date.UTC(2026, 1, 25, 22, 24);
export const TICK = 5_000;

/** The `n`th snapshot of an epoch: one every 5 s, net 1000 + n. */
export function snapshot(n: number, change: Partial<Snapshot> = {}): Snapshot {
  const at = T0 + n * TICK;
  const source: SourceState = { status: 'live', tier: 'live', asOf: new Date(at).toISOString(), ageMs: 100, error: null };
  return {
    totalRevenue: 1_125.5 + n,
    totalExpenses: 125.5,
    netPnL: 1_000 + n,
    grossMargin: 88.85,
    dailyTrend: 5.25,
    components: {
      kalshi: { balance: 10_000, positions: 3, pnl: 500 + n, realizedPnl: 400, unrealizedPnl: 100 + n, fees: 20.25 },
      anthropic: { dailySpend: 5.25, totalSpend: 105.25 },
      johns: { invoiced: 2_000, collected: 625.5 },
    },
    timestamp: new Date(at).toISOString(),
    calculatedAt: at,
    epoch: 'k3v9',
    seq: n,
    degraded: [],
    sources: { kalshi: source, anthropic: source, johns: source },
    ...change,
  };
}

export function breakdown(n: number): Breakdown {
  const { components, totalRevenue, totalExpenses, netPnL, grossMargin, timestamp, epoch, seq } = snapshot(n);
  return { ...components, summary: { totalRevenue, totalExpenses, netPnL, grossMargin }, costBreakdown: [], agentAttribution: [], timestamp, epoch, seq, degraded: [], estimated: false, complete: true };
}

export function bucket(timestamp: number, netPnL: number): HistoryRow {
  return { timestamp, netPnL, kalshiPnL: 0, costs: 0, revenue: netPnL, open: netPnL, high: netPnL, low: netPnL, close: netPnL, count: 1 };
}

export class FakeTransport implements Transport {
  readonly rung: Rung;
  events: TransportEvents | null = null;
  opened = 0;

  constructor(rung: Rung) {
    this.rung = rung;
  }

  open(events: TransportEvents): void {
    this.events = events;
    this.opened += 1;
  }

  close(): void {
    this.events = null;
  }

  up(resumed = true): void {
    this.events?.up({ resumed });
  }

  fail(message = 'refused', kind: 'network' | 'auth' = 'network'): void {
    this.events?.down({ kind, message });
  }
}

export function ladderOfFakes(): { websocket: FakeTransport; sse: FakeTransport; polling: FakeTransport; list: FakeTransport[] } {
  const [websocket, sse, polling] = [new FakeTransport('websocket'), new FakeTransport('sse'), new FakeTransport('polling')];
  return { websocket, sse, polling, list: [websocket, sse, polling] };
}

/** Answers by path; a missing answer is a failure. Keeps what was asked. */
export function fakeRest(answers: Record<string, unknown | (() => unknown)>): Rest & { asked: string[]; answers: typeof answers } {
  const asked: string[] = [];
  const answer = async <Data>(path: string): Promise<Data> => {
    asked.push(path);
    const found = answers[path] ?? answers[path.replace(/\?.*/, '')];
    if (found === undefined) throw new Error(`nothing at ${path}`);
    return (typeof found === 'function' ? (found as () => Data)() : found) as Data;
  };
  return { asked, answers, get: answer, plain: answer, text: answer, post: (path) => answer(path) };
}

export class MemoryStorage {
  readonly #items = new Map<string, string>();
  getItem = (name: string): string | null => this.#items.get(name) ?? null;
  setItem = (name: string, value: string): void => void this.#items.set(name, value);
  removeItem = (name: string): void => void this.#items.delete(name);
}
