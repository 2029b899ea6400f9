/** Reads the server's state: breakers, and for the system page health, cache tiers and reconciliation. */

import type { Rest } from '../transports/rest.js';
import type { Breakers, CacheStats, Health, SourceList } from '../types/wire.js';
import type { SystemState } from './state.js';

/**
 * What could be read; a part that could not is left out, so that what was last known stays. With `further`, there is a source
 * that this package does not know by name: how it is shown is requested once.
 */
export async function readSystem(
  rest: Rest,
  { reconciliation, sources }: SystemState,
  { whole, further }: { whole: boolean; further: boolean },
): Promise<Partial<SystemState>> {
  const described = further && sources === null ? rest.get<SourceList>('/api/sources').catch(() => null) : null;
  const [breakers, health, cache, gap] = await Promise.allSettled([
    rest.get<Breakers>('/api/circuit-breaker/status'),
    ...(whole
      ? ([rest.plain<Health>('/health'), rest.get<CacheStats>('/api/cache/stats'), rest.text('/metrics').then(reconciliationIn)] as const)
      : ([] as const)),
  ]);
  const listed = await described;
  return {
    ...(listed === null ? {} : { sources: listed.sources }),
    ...(breakers.status === 'fulfilled' ? { breakers: breakers.value } : {}),
    ...(health?.status === 'fulfilled' ? { health: health.value } : {}),
    ...(cache?.status === 'fulfilled' ? { cache: cache.value } : {}),
    reconciliation: gap?.status === 'fulfilled' ? gap.value : whole ? null : reconciliation,
  };
}

/** The gauge among the server's Prometheus metrics; NaN there means not known yet. */
function reconciliationIn(metrics: string): number | null {
  const gap = Number(/^pnl_reconciliation_gap_usd (\S+)/m.exec(metrics)?.[1] ?? Number.NaN);
  return Number.isNaN(gap) ? null : gap;
}
