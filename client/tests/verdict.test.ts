import { describe, expect, it } from 'vitest';
import { POLL_MS, type Sources, type SourceState } from 'pnl-client';
import { ageOf, explain, notLive, staleAfter, verdictOf, type Circumstances } from '../src/lib/verdict';
import { snapshot, T0 } from '../packages/pnl-client/tests/fixtures';

const INTERVAL = 5_000;
const { sources: LIVE } = snapshot(1);
const well: Circumstances = {
  link: { phase: 'up', rung: 'websocket', reason: null },
  ageMs: 1_000,
  updateIntervalMs: INTERVAL,
  unanswered: false,
  sources: LIVE,
};
const judge = (change: Partial<Circumstances> = {}) => verdictOf({ ...well, ...change });
const withStatus = (...statuses: SourceState['status'][]): Sources => {
  const [kalshi, anthropic, johns] = statuses.map((status) => ({ ...LIVE.kalshi, status })) as [SourceState, SourceState, SourceState];
  return { kalshi, anthropic, johns };
};

describe('the verdict is the worst of link, age and sources', () => {
  it('is live only when all three are well', () => {
    expect(judge()).toEqual({ state: 'live', word: 'Live', tone: 'gain', dim: false });
  });

  it('is stale from the first moment after the allowed age, by the server’s own interval', () => {
    for (const interval of [200, 5_000, 60_000]) {
      const limit = staleAfter('websocket', interval);
      expect(limit).toBeGreaterThanOrEqual(3 * interval);
      expect(judge({ ageMs: limit, updateIntervalMs: interval }).state).toBe('live');
      expect(judge({ ageMs: limit + 1, updateIntervalMs: interval })).toEqual({ state: 'stale', word: 'Stale', tone: 'loss', dim: true });
    }
    expect(judge({ ageMs: 40_000, updateIntervalMs: null }).state).toBe('stale');
  });

  it('allows for what a transport adds', () => {
    expect(staleAfter('polling', INTERVAL)).toBeGreaterThan(POLL_MS + INTERVAL);
    expect(judge({ link: { phase: 'up', rung: 'sse', reason: null }, ageMs: 60_000 }).state).toBe('live');
    expect(judge({ link: { phase: 'up', rung: 'polling', reason: null }, ageMs: 31_000 })).toMatchObject({ state: 'polling', tone: 'warn' });
  });

  it('is stale when a connected server does not answer', () => {
    expect(judge({ unanswered: true }).state).toBe('stale');
  });

  it('counts the sources that are live', () => {
    expect(judge({ sources: withStatus('live', 'stale', 'degraded') })).toEqual({ state: 'partly', word: '1 of 3 live', tone: 'warn', dim: false });
    expect(judge({ sources: withStatus('stale', 'stale', 'stale') })).toEqual({ state: 'none', word: '0 of 3 live', tone: 'loss', dim: true });
  });

  it('lets the link come before the age, and the age before the sources', () => {
    const worst = { ageMs: 60_000, sources: withStatus('stale', 'stale', 'stale') };
    expect(judge(worst).state).toBe('stale');
    expect(judge({ ...worst, link: { phase: 'waiting', rung: null, reason: 'gone' } })).toMatchObject({ state: 'offline', tone: 'loss', dim: true });
    expect(judge({ ...worst, link: { phase: 'refused', rung: null, reason: 'no' } })).toMatchObject({ state: 'refused', dim: true });
    expect(judge({ link: { phase: 'connecting', rung: null, reason: 'gone' } }).state).toBe('offline');
    expect(judge({ link: { phase: 'connecting', rung: null, reason: null } })).toMatchObject({ state: 'connecting', tone: 'warn', dim: true });
  });

  it('is not live before the first update of this visit', () => {
    expect(judge({ link: { phase: 'stopped', rung: null, reason: null } }).state).toBe('connecting');
    expect(judge({ ageMs: null })).toMatchObject({ state: 'connecting', dim: true });
  });
});

describe('the age of the figures', () => {
  it('is the time since they came, or since they were calculated where that is longer', () => {
    expect(ageOf(T0 + 9_000, T0, T0 + 1_000, null)).toBe(8_000);
    expect(ageOf(T0 + 9_000, T0 - 3_600_000, T0 + 8_000, 0)).toBe(3_609_000);
    expect(ageOf(T0 + 9_000, T0 + 7_200_000, T0 + 8_000, 7_200_000)).toBe(9_000); // The reader's clock is two hours behind.
    expect(ageOf(T0 + 9_000, T0 + 10_000, T0 + 8_999, 0)).toBe(1);
  });

  it('is not known for figures of an earlier visit', () => {
    expect(ageOf(T0, T0 - 1, null, 0)).toBeNull();
    expect(ageOf(T0, null, null, 0)).toBeNull();
  });
});

it('says in a sentence what is wrong', () => {
  expect(explain(judge({ ageMs: 40_000 }), 40_000, [])).toBe('No update for 40 s: the server is connected but sends nothing.');
  const sources = withStatus('live', 'stale', 'degraded');
  expect(explain(judge({ sources }), 1_000, notLive(sources))).toBe('Not live: anthropic, johns.');
  expect(explain(judge(), 1_000, [])).toBeNull();
});
