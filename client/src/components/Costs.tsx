/** The expenses by kind. */

import type { ReactElement } from 'react';
import { usePnLComponents, usePnLMetrics } from 'pnl-client';
import { useFormatter } from '../lib/preferences';
import { isEstimated } from '../lib/provenance';
import { Estimate } from './Figure';

export function Costs(): ReactElement {
  const format = useFormatter();
  const components = usePnLComponents();
  const { degraded, sources } = usePnLMetrics();
  const estimated = isEstimated(sources);
  const costs = 'costBreakdown' in components ? [...components.costBreakdown].sort((a, b) => b.value - a.value) : [];
  return (
    <section className="card" aria-labelledby="costs">
      <div className="card-head">
        <h2 id="costs">Costs{estimated && <Estimate />}</h2>
      </div>
      {costs.length === 0 && <p className="soft">{'costBreakdown' in components && degraded.length === 0 ? 'No costs yet' : '—'}</p>}
      <ul className="costs">
        {costs.map(({ name, value, percentage }) => (
          <li key={name}>
            <p className="cost-line">
              <span>{name}</span>
              <span className="soft">{value < 0 ? 'credit' : format.percent(percentage, 1)}</span>
              <span>{value === 0 && degraded.length > 0 ? '—' : format.money(value)}</span>
            </p>
            <svg className="lane" aria-hidden="true">
              <rect className="is-track" width="100%" height="100%" />
              <rect className="is-cost" width={`${Math.max(0, Math.min(100, percentage))}%`} height="100%" />
            </svg>
          </li>
        ))}
      </ul>
    </section>
  );
}
