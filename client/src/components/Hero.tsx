/** The first question: how much do we make, and how did that change. */

import type { ReactElement } from 'react';
import { arrow } from '../lib/format';
import { useFormatter } from '../lib/preferences';
import { SOURCE_NAMES } from '../lib/provenance';
import { usePnLMetrics, usePnLStore } from '../pnlStore';
import type { SourceName } from '../types/shapes';
import { Figure, tone } from './Figure';
import { Sparkline } from './Sparkline';

export function Hero(): ReactElement {
  const { netPnL, calculatedAt, degraded } = usePnLMetrics();
  const fresh = usePnLStore(({ connected, receivedAt }) => connected && receivedAt !== null);
  return (
    <section className="hero" aria-labelledby="net">
      <div>
        <h1 id="net">Net P&amp;L</h1>
        {calculatedAt === null ? (
          <p className="hero-value is-stale">
            <span aria-hidden="true">—</span>
            <span className="hidden">No figures yet</span>
          </p>
        ) : (
          <>
            <p className={`hero-value ${fresh ? '' : 'is-stale'}`} data-testid="net">
              <Figure value={netPnL} />
            </p>
            <Change />
          </>
        )}
        <AsOf />
        {calculatedAt !== null && degraded.length > 0 && (
          <p className="hero-asof is-warn">Not counted, for want of an answer: {degraded.map((name) => SOURCE_NAMES[name as SourceName] ?? name).join(', ')}</p>
        )}
      </div>
      <Sparkline />
    </section>
  );
}

function Change(): ReactElement {
  const format = useFormatter();
  const { netPnL, dailyTrend } = usePnLMetrics();
  const baseline = usePnLStore((state) => state.baseline);
  const change = baseline === null ? null : netPnL - baseline.previousNetPnL;
  const direction = change ?? dailyTrend;
  return (
    <p className={`hero-change ${tone(direction)}`} data-testid="change">
      {arrow(direction) && <span aria-hidden="true">{arrow(direction)}</span>}
      {change !== null && <span>{format.signedMoney(change)}</span>}
      <span>{change === null ? format.signedPercent(dailyTrend) : `(${format.signedPercent(dailyTrend)})`}</span>
      <small className="soft">{change === null ? 'since the start' : 'today'}</small>
    </p>
  );
}

function AsOf(): ReactElement {
  const format = useFormatter();
  const { calculatedAt } = usePnLMetrics();
  const kept = usePnLStore((state) => state.receivedAt === null);
  const keyWanted = usePnLStore((state) => state.keyWanted !== null);
  if (calculatedAt === null) return <p className="hero-asof">{keyWanted ? 'The server wants a key first' : 'Waiting for the first figures'}</p>;
  return (
    <p className="hero-asof">
      {kept ? 'Last known, from ' : 'As of '}
      <time dateTime={new Date(calculatedAt).toISOString()} data-testid="asof">
        {kept ? format.dateTime(calculatedAt) : format.time(calculatedAt)}
      </time>{' '}
      {format.zoneName}
    </p>
  );
}
