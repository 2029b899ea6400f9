/** The zone whose midnights part the days. */

import { usePnLStore } from 'pnl-client';

/** The default of the server's setting. */
const DEFAULT_ZONE = 'UTC';

export interface BusinessZone {
  readonly zone: string;
  /** Whether the server sent it, in this visit or the last. */
  readonly stated: boolean;
  /** False until the server has sent it. */
  readonly settled: boolean;
}

export function useBusinessZone(): BusinessZone {
  const stated = usePnLStore((state) => state.server?.businessTimezone ?? null);
  const settled = usePnLStore(({ server, link }) => server !== null || link.phase === 'waiting');
  return { zone: stated ?? DEFAULT_ZONE, stated: stated !== null, settled };
}
