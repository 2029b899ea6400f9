/** The trend store of the page, showing the chosen range in business days. */

import { useEffect } from 'react';
import { useStore } from 'zustand';
import { createTrendStore, pnlStore, type Range, type TrendState } from 'pnl-client';
import { useBusinessZone } from './useBusinessZone';

const trendStore = createTrendStore({ pnl: pnlStore });

export function useTrend(range: Range): TrendState {
  const { zone, settled } = useBusinessZone();
  useEffect(() => trendStore.show(range, settled ? zone : null), [range, zone, settled]);
  return useStore(trendStore);
}
