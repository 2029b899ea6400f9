/** The present state of the whole page. */

import { useShallow } from 'zustand/shallow';
import { knownSnapshot, usePnLStore } from 'pnl-client';
import { useNow } from './useNow';
import { ageOf, verdictOf, type Verdict } from './verdict';

/** `ageMs`: of the shown figures; null when they were kept from an earlier visit or there are none. */
export function useVerdict(): Verdict & { readonly ageMs: number | null } {
  const now = useNow();
  const { pnl, link, receivedAt, server, clockAheadMs, unanswered } = usePnLStore(
    useShallow(({ pnl, link, receivedAt, server, clockAheadMs, unanswered }) => ({ pnl, link, receivedAt, server, clockAheadMs, unanswered })),
  );
  const ageMs = ageOf(now, pnl.calculatedAt, receivedAt, clockAheadMs);
  const sources = knownSnapshot(pnl)?.sources ?? null;
  return { ...verdictOf({ link, ageMs, updateIntervalMs: server?.updateIntervalMs ?? null, unanswered, sources }), ageMs };
}
