/** The trend store of the page, showing the chosen range in business days. */

import { useEffect } from 'react';
import { useStore } from 'zustand';
import { pageRest, pnlStore } from '../pnlStore';
import type { Range } from '../store/trend';
import { createTrendStore, type TrendState } from '../store/trendStore';
import { useBusinessZone } from './useBusinessZone';

const trendStore = createTrendStore({ pnl: pnlStore, rest: pageRest });

export function useTrend(range: Range): TrendState {
  const { zone, settled } = useBusinessZone();
  useEffect(() => trendStore.show(range, settled ? zone : null), [range, zone, settled]);
  return useStore(trendStore);
}
