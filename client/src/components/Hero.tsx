/** The net figure and its change since the day before. */

import type { ReactElement } from 'react';
import { hasFigures, usePnLMetrics, usePnLStore } from 'pnl-client';
import { arrow, duration } from '../lib/format';
import { useFormatter } from '../lib/preferences';
import { importingSentence, isEstimated, sourceWord } from '../lib/provenance';
import { useVerdict } from '../lib/useVerdict';
import { explain, notLive } from '../lib/verdict';
import { Estimate, Figure, tone } from './Figure';
import { Sparkline } from './Sparkline';

export function Hero(): ReactElement {
  const pnl = usePnLMetrics();
  const verdict = useVerdict();
  const why = pnl.calculatedAt === null ? null : explain(verdict, verdict.ageMs, notLive(pnl.sources).map(sourceWord));
  return (
    <section className="hero" aria-labelledby="net" data-state={verdict.state}>
      <div>
        <h1 id="net">Net P&amp;L</h1>
        {hasFigures(pnl) ? (
          <>
            <p className={`hero-value ${verdict.dim ? 'is-stale' : ''}`} data-testid="net">
              <Figure value={pnl.netPnL} />
              {isEstimated(pnl.sources) && <Estimate />}
            </p>
            <Change dim={verdict.dim} />
          </>
        ) : (
          <p className="hero-value is-stale">
            <span aria-hidden="true">—</span>
            <span className="hidden">No figures yet</span>
          </p>
        )}
        <AsOf ageMs={verdict.ageMs} />
        {why !== null && (
          <p className={`hero-asof is-${verdict.tone}`} data-testid="why">
            {why}
          </p>
        )}
        <Importing />
        {pnl.calculatedAt !== null && pnl.degraded.length > 0 && (
          <p className="hero-asof is-warn">Not counted, because there is no answer yet: {pnl.degraded.map(sourceWord).join(', ')}</p>
        )}
      </div>
      <Sparkline />
    </section>
  );
}

/** What is still missing from the figures while history is imported. */
function Importing(): ReactElement | null {
  const format = useFormatter();
  const { sources } = usePnLMetrics();
  const [first] = Object.values(sources).flatMap(({ importing }) => (importing === undefined ? [] : [importing]));
  return first === undefined ? null : (
    <p className="hero-asof is-warn" data-testid="importing">
      {importingSentence(first, format)}
    </p>
  );
}

function Change({ dim }: { dim: boolean }): ReactElement {
  const format = useFormatter();
  const { netPnL, dailyTrend } = usePnLMetrics();
  const baseline = usePnLStore((state) => state.baseline);
  const change = baseline === null ? null : netPnL - baseline.previousNetPnL;
  const direction = change ?? dailyTrend;
  return (
    <p className={`hero-change ${dim ? 'soft' : tone(direction)}`} data-testid="change">
      {arrow(direction) && <span aria-hidden="true">{arrow(direction)}</span>}
      {change !== null && <span>{format.signedMoney(change)}</span>}
      <span>{change === null ? format.signedPercent(dailyTrend) : `(${format.signedPercent(dailyTrend)})`}</span>
      <small className="soft">{baseline === null ? 'since the start' : baseline.since === undefined ? 'today' : `since ${format.minute(Date.parse(baseline.since))}`}</small>
    </p>
  );
}

function AsOf({ ageMs }: { ageMs: number | null }): ReactElement {
  const format = useFormatter();
  const { calculatedAt } = usePnLMetrics();
  const kept = usePnLStore((state) => state.receivedAt === null);
  const keyWanted = usePnLStore((state) => state.keyWanted !== null);
  if (calculatedAt === null) return <p className="hero-asof">{keyWanted ? 'The server needs a key first' : 'Waiting for the first figures'}</p>;
  return (
    <p className="hero-asof">
      {kept ? 'Last known, from ' : 'As of '}
      <time dateTime={new Date(calculatedAt).toISOString()} data-testid="asof">
        {kept ? format.dateTime(calculatedAt) : format.time(calculatedAt)}
      </time>{' '}
      {format.zoneName}
      {ageMs !== null && <span data-testid="age">, {duration(ageMs)} ago</span>}
    </p>
  );
}
