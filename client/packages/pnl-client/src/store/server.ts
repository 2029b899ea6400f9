/** What the server says of itself in a request without a key: its zone and interval, its clock, how long it took. */

import type { Rest } from '../transports/rest.js';
import type { BriefHealth } from '../types/wire.js';
import { isTimeZone } from '../zone.js';

/** Null where the server did not say. */
export interface ServerFacts {
  /** IANA name of the zone whose midnights part the business days. */
  readonly businessTimezone: string | null;
  /** Time between two updates, ms. */
  readonly updateIntervalMs: number | null;
}

export const NO_FACTS: ServerFacts = { businessTimezone: null, updateIntervalMs: null };

export interface Probed {
  readonly api: BriefHealth;
  readonly server: ServerFacts;
  readonly latencyMs: number;
  /** How far the server's clock is ahead of this one, ms; null when the answer took too long to tell. */
  readonly clockAheadMs: number | null;
}

const PATH = '/api/health';
/** An answer that took longer says too little about the server's clock. */
const LONGEST_FOR_CLOCK_MS = 2_000;

export async function probe(rest: Rest, now: () => number): Promise<Probed> {
  const started = performance.now();
  const api = await rest.plain<BriefHealth>(PATH);
  const took = performance.now() - started;
  const tellsTime = typeof api.timestamp === 'number' && took <= LONGEST_FOR_CLOCK_MS;
  return { api, server: readFacts(api), latencyMs: onTheWire(started) ?? took, clockAheadMs: tellsTime ? api.timestamp + took / 2 - now() : null };
}

/** From an answer, or from what was kept of one. */
export function readFacts(value: Partial<Record<keyof ServerFacts, unknown>> | null | undefined): ServerFacts {
  const { businessTimezone: zone, updateIntervalMs: interval } = value ?? {};
  return {
    businessTimezone: typeof zone === 'string' && isTimeZone(zone) ? zone : null,
    updateIntervalMs: typeof interval === 'number' && interval > 0 ? interval : null,
  };
}

/** ms between request and answer of the fetch since `started`, without the page's own work; null where nobody tells. */
function onTheWire(started: number): number | null {
  const entries = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
  const timing = entries.findLast(({ name, startTime }) => startTime >= started && name.endsWith(PATH));
  return timing !== undefined && timing.requestStart > 0 ? timing.responseStart - timing.requestStart : null;
}
