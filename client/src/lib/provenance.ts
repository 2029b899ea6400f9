/** The state of a source as a word and a sentence: whether it is live, its age, what happens next. */

import type { BreakerServices, BreakerState, HistoryRow, Snapshot, SourceName, SourceState } from 'pnl-client';
import { duration, type Formatter } from './format';

export type Trust = 'live' | 'simulated' | 'estimate' | 'importing' | 'cached' | 'other' | 'degraded';

export const SOURCE_NAMES: Record<SourceName, string> = { kalshi: 'Kalshi', anthropic: 'Anthropic', johns: 'John’s revenue' };

/** What a source is called; one that is not known by name goes by the name that the server gives it. */
export function sourceWord(name: string): string {
  return (SOURCE_NAMES as Partial<Record<string, string>>)[name] ?? name;
}

/** The state of a source, also of one that the types do not name. */
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
  const { status, asOf, ageMs: ageThen, error, estimated, importing, marks } = stateOf(snapshot, name);
  const at = asOf === null ? null : Date.parse(asOf);
  const ageMs = ageThen === null || sinceMs === null ? null : ageThen + sinceMs;
  const shown = at === null ? 'never' : format.time(at);
  const trust = marks?.includes('account_changed') ? 'other' : trustOf(status, estimated === true, snapshot.simulated === true, importing !== undefined);
  const next = breaker?.state === 'OPEN' && breaker.nextAttemptTime !== null ? ` Next attempt at ${format.time(breaker.nextAttemptTime)}.` : '';
  const why = error ? ` ${sentence(error)}` : '';
  const counted = snapshot.degraded?.includes(name) === false;
  const sentences: Partial<Record<Trust, string>> = {
    degraded: `${error ? sentence(error) : `${label} has not answered yet.`}${counted ? '' : ' Its figures count as zero.'}${next}`,
    cached: `${label} has not answered for ${ageMs === null ? 'a while' : duration(ageMs)}; showing ${shown}.${why}${next}`,
    estimate: `${label}’s figure is an estimate.`,
    ...(importing === undefined ? {} : { importing: importingSentence(importing, format) }),
    // The server's error names the ways out.
    other: error ? sentence(error) : `${label} answers for another account.`,
  };
  const words: Record<Trust, string> = {
    live: 'Live',
    simulated: 'Simulated',
    estimate: 'Estimate',
    importing: 'Importing',
    other: 'Other account',
    cached: ageMs === null ? 'Cached' : `Cached ${duration(ageMs)}`,
    degraded: 'Degraded',
  };
  return { trust, word: words[trust], ageMs, asOf: shown, sentence: sentences[trust] ?? null };
}

/** As a sentence: a capital first, a full stop last. */
function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/[.\s]+$/, '')}.`;
}

/** "Importing history: archived markets, 3,000 rows." */
export function importingSentence({ what, done, total }: NonNullable<SourceState['importing']>, format: Formatter): string {
  const rows = total === null || total === undefined ? format.integer(done) : `${format.integer(done)} of ${format.integer(total)}`;
  return `Importing history: ${what}, ${rows} rows. Until it is done the figures lack some.`;
}

/** Whether figures that were derived a second time agree, in a word; null where they are not derived twice. */
export function verifiedWord({ verified }: Pick<SourceState, 'verified'>, format: Formatter): string | null {
  if (verified === undefined) return null;
  if (verified.realized === false || verified.equity === false) return `Differs by ${format.money(Math.abs(Number(verified.gap)))}`;
  return verified.realized === null && verified.equity === null ? 'Not verifiable yet' : 'Verified';
}

/** The marks of a row of history as texts; none for a row without marks. */
export function rowMarks({ degraded = [], estimated, complete, imported, restated }: HistoryRow): string[] {
  return [
    ...(restated ? ['restated'] : []),
    ...(complete === false && !imported ? ['incomplete'] : []),
    ...(estimated ? ['estimate'] : []),
    ...(degraded.length === 0 ? [] : [`not live: ${degraded.map(sourceWord).join(', ')}`]),
  ];
}

/** Whether any source's figures are an estimate. */
export function isEstimated(sources: Partial<Record<string, SourceState>>): boolean {
  return Object.values(sources).some((state) => state?.estimated === true);
}

function trustOf(status: string, estimated: boolean, simulated: boolean, importing: boolean): Trust {
  if (status === 'degraded') return 'degraded';
  if (status !== 'live') return 'cached';
  if (importing) return 'importing';
  if (simulated) return 'simulated';
  return estimated ? 'estimate' : 'live';
}
