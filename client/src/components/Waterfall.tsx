/** From the parts of revenue to the net figure, each change starting where the one before ended. */

import { useMemo, type ReactElement } from 'react';
import { furtherSources, hasFigures, knownSums, type MaybeSnapshot, type SourceName, usePnLMetrics } from 'pnl-client';
import { bar, waterfall, waterfallDomain } from '../lib/chart';
import { useFormatter } from '../lib/preferences';
import { tone } from './Figure';

export function Waterfall(): ReactElement {
  const format = useFormatter();
  const pnl = usePnLMetrics();
  const steps = useMemo(() => waterfall(stepsOf(pnl)), [pnl]);
  const domain = waterfallDomain(steps);
  const zero = bar({ from: domain[0], to: 0 }, domain).width;
  return (
    <section className="card" aria-labelledby="waterfall">
      <div className="card-head">
        <h2 id="waterfall">From revenue to net</h2>
      </div>
      <table className="table">
        <thead className="hidden">
          <tr>
            <th scope="col">Part</th>
            <th scope="col">Bar</th>
            <th scope="col">Amount</th>
          </tr>
        </thead>
        <tbody>
          {steps.map((step) => {
            const { x, width } = bar(step, domain);
            return (
              <tr key={step.label} className={step.kind === 'total' ? 'is-total' : ''}>
                <th scope="row">{step.label}</th>
                <td className="lane-cell">
                  <svg className="lane" aria-hidden="true">
                    {zero > 0 && <line x1={`${zero}%`} x2={`${zero}%`} y1="0" y2="100%" />}
                    {Math.abs(step.value) > 0 && <rect className={`is-${step.kind}`} x={`${Math.min(x, 99.5)}%`} width={`${Math.max(width, 0.5)}%`} height="100%" />}
                  </svg>
                </td>
                <td className={step.kind === 'total' ? '' : tone(step.value)}>
                  {step.kind === 'total' ? format.money(step.value) : format.signedMoney(step.value)}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

/** NaN for what is not known: everything before the first figures, and the parts of a source that has not answered yet. */
export function stepsOf(pnl: MaybeSnapshot): { label: string; value: number; total?: boolean }[] {
  const { kalshi, anthropic, johns } = pnl.components;
  const some = hasFigures(pnl);
  const of = (source: SourceName | null, value: number): number => (some && (source === null || !pnl.degraded.includes(source)) ? value : Number.NaN);
  const realized = kalshi.realizedPnl ?? kalshi.pnl;
  // What the sums hold beyond the parts that are known by name; less than half a cent is rounding.
  const further = (label: string, value: number): { label: string; value: number }[] =>
    furtherSources(pnl).length > 0 && Math.abs(value) >= 0.005 ? [{ label, value: of(null, value) }] : [];
  return [
    { label: 'Kalshi, realized', value: of('kalshi', realized) },
    { label: 'Kalshi, open positions', value: of('kalshi', kalshi.pnl - realized) },
    { label: 'John’s, collected', value: of('johns', johns.collected) },
    ...further('Further revenue', pnl.totalRevenue - kalshi.pnl - johns.collected),
    { label: 'Revenue', value: knownSums(pnl).revenue ? pnl.totalRevenue : Number.NaN, total: true },
    { label: 'Trading fees', value: of('kalshi', -(kalshi.fees ?? 0)) },
    { label: 'Anthropic', value: of('anthropic', -(anthropic.totalSpend ?? pnl.totalExpenses - (kalshi.fees ?? 0))) },
    ...further('Further costs', (kalshi.fees ?? 0) + (anthropic.totalSpend ?? 0) - pnl.totalExpenses),
    { label: 'Net', value: of(null, pnl.netPnL), total: true },
  ];
}
