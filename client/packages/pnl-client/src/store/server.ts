/** What `/api/health` answers without a key: the server's zone and interval, its clock, and how long the request took. */

import type { Rest } from '../transports/rest.js';
import type { BriefHealth } from '../types/wire.js';
import { isTimeZone } from '../zone.js';

/** The zone of the business days (IANA) and the time between two updates (ms); null where the server did not give it. */
export type ServerFacts = { readonly [Fact in 'businessTimezone' | 'updateIntervalMs']: BriefHealth[Fact] | null };

export const NO_FACTS: ServerFacts = { businessTimezone: null, updateIntervalMs: null };

export interface Probed {
  readonly api: BriefHealth;
  readonly server: ServerFacts;
  readonly latencyMs: number;
  /** How far the server's clock is ahead of this one, ms; null when the request took too long to measure it. */
  readonly clockAheadMs: number | null;
}

const PATH = '/api/health';
/** After a longer request the difference between the two clocks would be too inexact. */
const LONGEST_FOR_CLOCK_MS = 2_000;

export async function probe(rest: Rest, now: () => number): Promise<Probed> {
  const started = performance.now();
  const api = await rest.plain<BriefHealth>(PATH);
  const took = performance.now() - started;
  const measured = typeof api.timestamp === 'number' && took <= LONGEST_FOR_CLOCK_MS;
  return { api, server: readFacts(api), latencyMs: onTheWire(started) ?? took, clockAheadMs: measured ? api.timestamp + took / 2 - now() : null };
}

/** From an answer, or from a stored one. */
export function readFacts(value: Partial<Record<keyof ServerFacts, unknown>> | null | undefined): ServerFacts {
  const { businessTimezone: zone, updateIntervalMs: interval } = value ?? {};
  return {
    businessTimezone: typeof zone === 'string' && isTimeZone(zone) ? zone : null,
    updateIntervalMs: typeof interval === 'number' && interval > 0 ? interval : null,
  };
}

/** ms between request and answer of the fetch since `started`, without the page's own work; null where the browser has no timing. */
function onTheWire(started: number): number | null {
  const entries = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
  const timing = entries.findLast(({ name, startTime }) => startTime >= started && name.endsWith(PATH));
  return timing !== undefined && timing.requestStart > 0 ? timing.responseStart - timing.requestStart : null;
}
