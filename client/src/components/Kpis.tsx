/** Revenue, expenses and margin, with their changes. */

import type { ReactElement, ReactNode } from 'react';
import { hasFigures, knownSums, usePnLMetrics, usePnLStore } from 'pnl-client';
import { arrow } from '../lib/format';
import { useFormatter } from '../lib/preferences';
import { useVerdict } from '../lib/useVerdict';
import { isEstimated } from '../lib/provenance';
import { Estimate, Figure, tone } from './Figure';

export function Kpis(): ReactElement {
  const format = useFormatter();
  const pnl = usePnLMetrics();
  const { totalRevenue, totalExpenses, grossMargin, dailyTrend } = pnl;
  const { dim } = useVerdict();
  const baseline = usePnLStore((state) => state.baseline);
  const unknown = !hasFigures(pnl);
  const { revenue, expenses } = knownSums(pnl);
  const when = baseline?.since === undefined ? null : `since ${format.minute(Date.parse(baseline.since))}`;
  const today = (known: boolean, now: number, before: number | undefined, otherwise: string): string =>
    before === undefined || !known ? otherwise : `${format.signedMoney(now - before)} ${when ?? 'today'}`;
  return (
    <dl className={dim ? 'kpis is-stale' : 'kpis'} data-testid="kpis">
      <Kpi label="Revenue" note={today(revenue, totalRevenue, baseline?.previousRevenue, 'Trading and collected')}>
        {revenue ? <Figure value={totalRevenue} /> : '—'}
      </Kpi>
      <Kpi label="Expenses" note={today(expenses, totalExpenses, baseline?.previousExpenses, 'Fees and API spend')}>
        {expenses ? <Figure value={totalExpenses} /> : '—'}
        {expenses && isEstimated(pnl.sources) && <Estimate />}
      </Kpi>
      <Kpi label="Margin" note="of revenue is kept">
        {revenue && expenses ? format.percent(grossMargin) : '—'}
      </Kpi>
      <Kpi label="Trend" note={baseline === null ? 'since the start' : (when ?? 'against yesterday')}>
        {unknown ? (
          '—'
        ) : (
          <span className={dim ? '' : tone(dailyTrend)}>
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
