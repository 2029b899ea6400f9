/** The state of the whole page: the worst of the connection, the age of the last update, and the sources. */

import { type LadderState, POLL_MS, type Rung, type Sources, type SourceState } from 'pnl-client';
import { duration } from './format';

export type Tone = 'gain' | 'warn' | 'loss';

export interface Verdict {
  readonly state: 'live' | 'polling' | 'partly' | 'connecting' | 'stale' | 'none' | 'refused' | 'offline';
  /** For the badge and the title: "Live", "2 of 3 live", "Stale". */
  readonly word: string;
  readonly tone: Tone;
  /** True while the figures on screen may be outdated. */
  readonly dim: boolean;
}

export interface Circumstances {
  readonly link: Pick<LadderState, 'phase' | 'rung' | 'reason'>;
  /** Age of the newest figures, ms; null when they were kept from an earlier visit or there are none. */
  readonly ageMs: number | null;
  /** Time between two updates, ms; null when the server has not sent it. */
  readonly updateIntervalMs: number | null;
  /** The server did not answer the last request for its health. */
  readonly unanswered: boolean;
  readonly sources: Partial<Sources> | null;
}

/** The default of the server's setting. */
export const DEFAULT_INTERVAL_MS = 5_000;
/** After this many missing updates the figures count as stale. */
const MISSED_UPDATES = 3;
/** For the network, and a busy server. */
const GRACE_MS = 1_000;
/** The event stream sends nothing but a snapshot each minute while no figure changes. */
const QUIET_STREAM_MS = 60_000;

export function verdictOf(circumstances: Circumstances): Verdict {
  const { link, sources } = circumstances;
  if (link.phase === 'refused') return lost('refused', 'Key needed');
  if (link.phase === 'stopped' || (link.phase === 'connecting' && link.reason === null)) return { state: 'connecting', word: 'Connecting', tone: 'warn', dim: true };
  if (link.phase !== 'up') return lost('offline', 'Offline');
  if (isStale(circumstances)) return lost('stale', 'Stale');
  if (circumstances.ageMs === null) return { state: 'connecting', word: 'Connecting', tone: 'warn', dim: true };
  const all = Object.values(sources ?? {});
  const live = all.filter(({ status }) => status === 'live').length;
  const word = `${live} of ${all.length} live`;
  if (live === 0) return lost('none', word);
  if (live < all.length) return { state: 'partly', word, tone: 'warn', dim: false };
  if (link.rung === 'polling') return { state: 'polling', word: 'Polling', tone: 'warn', dim: false };
  return { state: 'live', word: 'Live', tone: 'gain', dim: false };
}

/** The age, ms, from which on updates are missing: some intervals of the server, and what the transport adds to them. */
export function staleAfter(rung: Rung | null, updateIntervalMs: number | null): number {
  const onTop = { websocket: 0, sse: QUIET_STREAM_MS, polling: POLL_MS }[rung ?? 'websocket'];
  return onTop + MISSED_UPDATES * (updateIntervalMs ?? DEFAULT_INTERVAL_MS) + GRACE_MS;
}

/**
 * ms since the shown figures were calculated, or since they came where the clocks disagree about it. `receivedAt` null:
 * they were kept from an earlier visit.
 */
export function ageOf(now: number, calculatedAt: number | null, receivedAt: number | null, clockAheadMs: number | null): number | null {
  if (calculatedAt === null || receivedAt === null) return null;
  return Math.max(0, now - receivedAt, clockAheadMs === null ? 0 : now + clockAheadMs - calculatedAt);
}

/** A sentence that explains the badge; null where its word is enough. */
export function explain({ state }: Verdict, ageMs: number | null, notLive: readonly string[]): string | null {
  if (state === 'stale') return ageMs === null ? 'The server does not answer.' : `No update for ${duration(ageMs)}: the server is connected but sends nothing.`;
  if ((state === 'partly' || state === 'none') && notLive.length > 0) return `Not live: ${notLive.join(', ')}.`;
  return null;
}

export function notLive<Name extends string>(sources: Record<Name, SourceState>): Name[] {
  return (Object.keys(sources) as Name[]).filter((name) => sources[name].status !== 'live');
}

function isStale({ link, ageMs, updateIntervalMs, unanswered }: Circumstances): boolean {
  return unanswered || (ageMs !== null && ageMs > staleAfter(link.rung, updateIntervalMs));
}

function lost(state: Verdict['state'], word: string): Verdict {
  return { state, word, tone: 'loss', dim: true };
}
