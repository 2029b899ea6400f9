import { describe, expect, it } from 'vitest';
import type { BreakerState, SourceState } from 'pnl-client';
import { createFormatter } from '../src/lib/format';
import { importingSentence, provenance, rowMarks, verifiedWord } from '../src/lib/provenance';
import { bucket, snapshot, T0 } from '../packages/pnl-client/tests/fixtures';

const format = createFormatter('en-GB', 'UTC');

function tell(change: Partial<SourceState>, { since = 0 as number | null, breaker = undefined as BreakerState | undefined, simulated = false } = {}) {
  const state: SourceState = { status: 'live', tier: 'live', asOf: new Date(T0).toISOString(), ageMs: 1_000, error: null, ...change };
  const { sources } = snapshot(0);
  return provenance('kalshi', { sources: { ...sources, kalshi: state }, simulated }, since, breaker, format);
}

describe('a source says in a word how far to trust it', () => {
  it('live, simulated or an estimate', () => {
    expect(tell({})).toMatchObject({ trust: 'live', word: 'Live', sentence: null, asOf: '22:24:00' });
    expect(tell({}, { simulated: true })).toMatchObject({ trust: 'simulated', word: 'Simulated' });
    expect(tell({ estimated: true })).toMatchObject({ trust: 'estimate', word: 'Estimate' });
  });

  it('cached, with an age that grows while nothing comes', () => {
    const told = tell({ status: 'stale', tier: 'memory', ageMs: 35_000, error: 'timeout' }, { since: 5_000 });
    expect(told).toMatchObject({ trust: 'cached', word: 'Cached 40 s', ageMs: 40_000 });
    expect(told.sentence).toBe('Kalshi has not answered for 40 s; showing 22:24:00. Timeout.');
  });

  it('degraded, with what happens next', () => {
    const breaker: BreakerState = { state: 'OPEN', failureCount: 5, lastFailureTime: T0, lastSuccessTime: null, nextAttemptTime: T0 + 60_000 };
    const told = tell({ status: 'degraded', tier: 'fallback', asOf: null, ageMs: null, error: null }, { breaker });
    expect(told).toMatchObject({ trust: 'degraded', word: 'Degraded', asOf: 'never' });
    expect(tell({ status: 'degraded', error: 'Kalshi is not configured.' }).sentence).toBe('Kalshi is not configured. Its figures count as zero.');
    expect(told.sentence).toBe('Kalshi has not answered yet. Its figures count as zero. Next attempt at 22:25:00.');
  });

  it('without an age for figures kept from an earlier visit', () => {
    expect(tell({ status: 'stale' }, { since: null })).toMatchObject({ word: 'Cached', ageMs: null });
  });
});

describe('what a figure lacks is said in words', () => {
  it('an import, with how far it is', () => {
    const importing = { what: 'archived markets', done: 3_000 };
    expect(tell({ importing, marks: ['importing'] })).toMatchObject({
      trust: 'importing',
      word: 'Importing',
      sentence: 'Importing history: archived markets, 3,000 rows. Until it is done the figures lack some.',
    });
    expect(importingSentence({ ...importing, total: 9_000 }, format)).toContain('3,000 of 9,000 rows');
  });

  it('another account, with the ways out that the server names', () => {
    const error = 'Kalshi answers for another account; run: pnl-backend ledger adopt kalshi';
    expect(tell({ status: 'stale', tier: 'sqlite', error, marks: ['account_changed'] })).toMatchObject({ trust: 'other', word: 'Other account', sentence: `${error}.` });
  });

  it('whether figures that were derived a second time agree', () => {
    const word = (realized: boolean | null, equity: boolean | null, gap = '0.00'): string | null => verifiedWord({ verified: { realized, equity, gap } }, format);
    expect(word(true, true)).toBe('Verified');
    expect(word(true, null)).toBe('Verified');
    expect(word(null, null)).toBe('Not verifiable yet');
    expect(word(true, false, '-1.20')).toBe(`Differs by ${format.money(1.2)}`);
    expect(verifiedWord({}, format)).toBeNull();
  });

  it('a row of history', () => {
    expect(rowMarks(bucket(T0, 1))).toEqual([]);
    expect(rowMarks({ ...bucket(T0, 1), degraded: ['kalshi', 'toy'], estimated: true, complete: false, restated: true })).toEqual([
      'restated',
      'incomplete',
      'estimate',
      'not live: Kalshi, toy',
    ]);
    expect(rowMarks({ ...bucket(T0, 1), complete: false, imported: true })).toEqual([]);
  });
});
