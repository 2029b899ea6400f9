/** A store on transports and a server that a test plays. */

import { vi } from 'vitest';
import { createPnLStore } from '../src/createStore.js';
import { createCredentials } from '../src/store/credentials.js';
import type { Cursor } from '../src/transports/types.js';
import { breakdown, fakeRest, ladderOfFakes, MemoryStorage, snapshot } from './fixtures.js';

export const history = (...seqs: number[]): object => ({ count: seqs.length, data: seqs.map((n) => snapshot(n)), timestamp: '' });

export function build(answers: Record<string, unknown> = {}, storage = new MemoryStorage()) {
  const fakes = ladderOfFakes();
  const rest = fakeRest({
    '/api/pnl/history': history(1),
    '/api/pnl/current': snapshot(1),
    '/api/pnl/breakdown': breakdown(1),
    '/api/health': { status: 'ok', connectedClients: 1 },
    ...answers,
  });
  let cursor: () => Cursor | null = () => null;
  const store = createPnLStore({
    rest,
    credentials: createCredentials(new MemoryStorage(), storage),
    storage,
    transports: (given) => ((cursor = given), fakes.list),
    random: () => 0.5,
  });
  return { ...fakes, rest, store, storage, cursor: () => cursor() };
}

export const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);
export const send = (transport: { events: { snapshot: (s: ReturnType<typeof snapshot>, t: string) => void } | null }, n: number, change = {}): void =>
  transport.events?.snapshot(snapshot(n, change), snapshot(n).timestamp);
