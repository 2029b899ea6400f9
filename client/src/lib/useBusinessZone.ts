/** The zone whose midnights part the days. */

import { usePnLStore } from 'pnl-client';

/** What the server's setting is when nobody changes it. */
const DEFAULT_ZONE = 'UTC';

export interface BusinessZone {
  readonly zone: string;
  /** Whether the server said so, in this visit or the last. */
  readonly stated: boolean;
  /** False while the server is about to say. */
  readonly settled: boolean;
}

export function useBusinessZone(): BusinessZone {
  const stated = usePnLStore((state) => state.server?.businessTimezone ?? null);
  const settled = usePnLStore(({ server, link }) => server !== null || link.phase === 'waiting');
  return { zone: stated ?? DEFAULT_ZONE, stated: stated !== null, settled };
}
