/** The trend store of the page, showing the chosen range. */

import { useEffect } from 'react';
import { useStore } from 'zustand';
import { pageRest, pnlStore } from '../pnlStore';
import type { Range } from '../store/trend';
import { createTrendStore, type TrendState } from '../store/trendStore';

const trendStore = createTrendStore({ pnl: pnlStore, rest: pageRest });

export function useTrend(range: Range, timeZone: string): TrendState {
  useEffect(() => trendStore.show(range, timeZone), [range, timeZone]);
  return useStore(trendStore);
}
