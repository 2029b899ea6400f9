/** What can be said of a source in a word and a sentence: is it live, how old is it, what happens next. */

import type { BreakerServices, BreakerState, Snapshot, SourceName, SourceState } from 'pnl-client';
import { duration, type Formatter } from './format';

export type Trust = 'live' | 'simulated' | 'estimate' | 'cached' | 'degraded';

export const SOURCE_NAMES: Record<SourceName, string> = { kalshi: 'Kalshi', anthropic: 'Anthropic', johns: 'John’s revenue' };

/** What a source is called; one that is not known by name goes by the name that the server gives it. */
export function sourceWord(name: string): string {
  return (SOURCE_NAMES as Partial<Record<string, string>>)[name] ?? name;
}

/** Where a source stands, also one that the shapes do not name. */
export function stateOf({ sources }: Pick<Snapshot, 'sources'>, name: string): SourceState {
  return (sources as Partial<Record<string, SourceState>>)[name] ?? UNSTATED;
}

const UNSTATED: SourceState = { status: 'degraded', tier: 'fallback', asOf: null, ageMs: null, error: null };

/** What each source's breaker is called in the server's status. */
export const BREAKER_OF: Record<SourceName, keyof BreakerServices> = { kalshi: 'kalshi', anthropic: 'anthropic', johns: 'johns_revenue' };

export interface Provenance {
  readonly trust: Trust;
  /** For the badge: "Live", "Cached 40 s". */
  readonly word: string;
  readonly ageMs: number | null;
  /** When the figure was true, as the reader writes it. */
  readonly asOf: string;
  /** What is wrong and what happens next; null when nothing is. */
  readonly sentence: string | null;
}

/** `sinceMs`: how long ago the snapshot reached this page, null when it was kept from an earlier visit. */
export function provenance(
  name: string,
  snapshot: Pick<Snapshot, 'sources' | 'simulated'> & Partial<Pick<Snapshot, 'degraded'>>,
  sinceMs: number | null,
  breaker: BreakerState | undefined,
  format: Formatter,
  label = sourceWord(name),
): Provenance {
  const { status, asOf, ageMs: ageThen, error, estimated } = stateOf(snapshot, name);
  const at = asOf === null ? null : Date.parse(asOf);
  const ageMs = ageThen === null || sinceMs === null ? null : ageThen + sinceMs;
  const shown = at === null ? 'never' : format.time(at);
  const trust = trustOf(status, estimated === true, snapshot.simulated === true);
  const next = breaker?.state === 'OPEN' && breaker.nextAttemptTime !== null ? ` Next attempt at ${format.time(breaker.nextAttemptTime)}.` : '';
  const why = error ? ` ${sentence(error)}` : '';
  const counted = snapshot.degraded?.includes(name) === false;
  const sentences: Partial<Record<Trust, string>> = {
    degraded: `${error ? sentence(error) : `${label} has not answered yet.`}${counted ? '' : ' Its figures count as zero.'}${next}`,
    cached: `${label} has not answered for ${ageMs === null ? 'a while' : duration(ageMs)}; showing ${shown}.${why}${next}`,
    estimate: `${label}’s figure is an estimate.`,
  };
  const words: Record<Trust, string> = {
    live: 'Live',
    simulated: 'Simulated',
    estimate: 'Estimate',
    cached: ageMs === null ? 'Cached' : `Cached ${duration(ageMs)}`,
    degraded: 'Degraded',
  };
  return { trust, word: words[trust], ageMs, asOf: shown, sentence: sentences[trust] ?? null };
}

/** As a sentence: a capital first, a full stop last. */
function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/[.\s]+$/, '')}.`;
}

function trustOf(status: string, estimated: boolean, simulated: boolean): Trust {
  if (status === 'degraded') return 'degraded';
  if (status !== 'live') return 'cached';
  if (simulated) return 'simulated';
  return estimated ? 'estimate' : 'live';
}
