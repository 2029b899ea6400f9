/** The second question: from what. */

import type { ReactElement, ReactNode } from 'react';
import { arrow } from '../lib/format';
import { useFormatter } from '../lib/preferences';
import { usePnLMetrics, usePnLStore } from '../pnlStore';
import { Figure, tone } from './Figure';

export function Kpis(): ReactElement {
  const format = useFormatter();
  const { totalRevenue, totalExpenses, grossMargin, dailyTrend, calculatedAt } = usePnLMetrics();
  const baseline = usePnLStore((state) => state.baseline);
  const unknown = calculatedAt === null;
  const today = (now: number, before: number | undefined, otherwise: string): string =>
    before === undefined || unknown ? otherwise : `${format.signedMoney(now - before)} today`;
  return (
    <dl className="kpis">
      <Kpi label="Revenue" note={today(totalRevenue, baseline?.previousRevenue, 'Trading and collected')}>
        {unknown ? '—' : <Figure value={totalRevenue} />}
      </Kpi>
      <Kpi label="Expenses" note={today(totalExpenses, baseline?.previousExpenses, 'Fees and API spend')}>
        {unknown ? '—' : <Figure value={totalExpenses} />}
      </Kpi>
      <Kpi label="Margin" note="of revenue is kept">
        {unknown ? '—' : format.percent(grossMargin)}
      </Kpi>
      <Kpi label="Trend" note={baseline === null ? 'since the start' : 'against yesterday'}>
        {unknown ? (
          '—'
        ) : (
          <span className={tone(dailyTrend)}>
            <span aria-hidden="true">{arrow(dailyTrend)}</span> {format.signedPercent(dailyTrend)}
          </span>
        )}
      </Kpi>
    </dl>
  );
}

function Kpi({ label, note, children }: { label: string; note: string; children: ReactNode }): ReactElement {
  return (
    <div className="kpi">
      <dt>{label}</dt>
      <dd className="kpi-value">{children}</dd>
      <dd className="kpi-note">{note}</dd>
    </div>
  );
}
