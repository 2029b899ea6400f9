/** Revenue and expenses by agent; the columns add up to the totals. */

import type { ReactElement } from 'react';
import { usePnLComponents, usePnLMetrics } from 'pnl-client';
import { useFormatter } from '../lib/preferences';
import { isEstimated } from '../lib/provenance';
import { Estimate, tone } from './Figure';

export function Agents(): ReactElement {
  const format = useFormatter();
  const components = usePnLComponents();
  const { degraded, sources } = usePnLMetrics();
  // While a source has not answered, its agents' zeros are not known to be zeros.
  const shown = (value: number, text: string): string => (value === 0 && degraded.length > 0 ? '—' : text);
  const agents = 'agentAttribution' in components ? components.agentAttribution : [];
  const sum = (part: 'revenue' | 'expenses' | 'net'): number => agents.reduce((total, agent) => total + agent[part], 0);
  return (
    <section className="card" aria-labelledby="agents">
      <div className="card-head">
        <h2 id="agents">Agents{isEstimated(sources) && <Estimate />}</h2>
      </div>
      {agents.length === 0 ? (
        <p className="soft">{'agentAttribution' in components ? 'Nothing attributed yet' : '—'}</p>
      ) : (
          <table className="table is-money">
            <thead>
              <tr>
                <th scope="col">Agent</th>
                <th scope="col">Revenue</th>
                <th scope="col">Expenses</th>
                <th scope="col">Net</th>
              </tr>
            </thead>
            <tbody>
              {agents.map(({ agent, revenue, expenses, net }) => (
                <tr key={agent}>
                  <th scope="row">{agent}</th>
                  <td data-label="Revenue">{shown(revenue, format.money(revenue))}</td>
                  <td data-label="Expenses">{shown(expenses, format.money(expenses))}</td>
                  <td className={tone(net)}>{shown(net, format.signedMoney(net))}</td>
                </tr>
              ))}
              <tr className="is-total">
                <th scope="row">Total</th>
                <td data-label="Revenue">{format.money(sum('revenue'))}</td>
                <td data-label="Expenses">{format.money(sum('expenses'))}</td>
                <td>{format.signedMoney(sum('net'))}</td>
              </tr>
            </tbody>
          </table>
      )}
    </section>
  );
}
