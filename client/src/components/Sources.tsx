/** The fifth question: can I trust it. One card a source, with where its figures come from and how old they are. */

import { useId, type ReactElement } from 'react';
import { knownSnapshot, type MaybeSnapshot, type Snapshot, type SourceName, usePnLMetrics, usePnLStore } from 'pnl-client';
import { duration, type Formatter } from '../lib/format';
import { useFormatter } from '../lib/preferences';
import { BREAKER_OF, provenance, SOURCE_NAMES, type Trust } from '../lib/provenance';
import { useNow } from '../lib/useNow';
import { breakerWord } from '../lib/words';
import { Figure } from './Figure';

const TONES: Record<Trust, string> = { live: 'gain', simulated: 'accent', estimate: 'warn', cached: 'warn', degraded: 'loss' };
const ORDER: readonly SourceName[] = ['kalshi', 'anthropic', 'johns'];

export function Sources(): ReactElement {
  const pnl = usePnLMetrics();
  const snapshot = knownSnapshot(pnl);
  return (
    <section aria-labelledby="sources">
      <h2 id="sources" className="section-title">
        Sources
      </h2>
      <div className="sources">
        {ORDER.map((name) => (
          <Source key={name} name={name} pnl={pnl} snapshot={snapshot} />
        ))}
      </div>
    </section>
  );
}

function Source({ name, pnl, snapshot }: { name: SourceName; pnl: MaybeSnapshot; snapshot: Snapshot | null }): ReactElement {
  const format = useFormatter();
  const now = useNow();
  const tip = useId();
  const receivedAt = usePnLStore((state) => state.receivedAt);
  const breaker = usePnLStore((state) => state.system.breakers?.services[BREAKER_OF[name]]);
  const figures = FIGURES[name](pnl, format);
  const known = snapshot !== null && !snapshot.degraded.includes(name);
  const told = snapshot && provenance(name, snapshot, receivedAt === null ? null : Math.max(0, now - receivedAt), breaker, format);
  const tier = snapshot?.sources[name].tier;
  const notes = snapshot?.sources[name].notes ?? [];
  return (
    <article className="card source" aria-label={SOURCE_NAMES[name]} data-source={name}>
      <div className="card-head">
        <h3>{SOURCE_NAMES[name]}</h3>
        {told && (
          <button type="button" className={`pill is-${TONES[told.trust]}`} aria-describedby={tip}>
            {told.word}
            <span className="tip" role="tooltip" id={tip}>
              {[`As of ${told.asOf}`, `Tier: ${tier}`, ...notes].join('\n')}
            </span>
          </button>
        )}
      </div>
      <p className="source-main">{known ? <Figure value={figures.main} /> : '—'}</p>
      <p>{figures.label}</p>
      <dl className="pairs">
        {figures.rest.map(([label, value]) => (
          <div key={label} className="pair">
            <dt>{label}</dt>
            <dd>{known ? value : '—'}</dd>
          </div>
        ))}
      </dl>
      {told?.sentence && <p className={`source-sentence is-${told.trust}`}>{told.sentence}</p>}
      {told && (
        <p className="source-foot">
          <span>
            {told.asOf}
            {told.ageMs !== null && `, ${duration(told.ageMs)} old`}
          </span>
          <span>
            Tier {tier}
            {breaker && ` · breaker ${breakerWord(breaker.state)}`}
          </span>
        </p>
      )}
    </article>
  );
}

interface SourceFigures {
  main: number;
  label: string;
  rest: readonly (readonly [string, string])[];
}

const FIGURES: Record<SourceName, (pnl: MaybeSnapshot, format: Formatter) => SourceFigures> = {
  kalshi: ({ components: { kalshi } }, format) => ({
    main: kalshi.pnl,
    label: 'Trading P&L before fees',
    rest: [
      ['Realized', format.signedMoney(kalshi.realizedPnl ?? Number.NaN)],
      ['Unrealized', format.signedMoney(kalshi.unrealizedPnl ?? Number.NaN)],
      ['Fees', format.money(kalshi.fees ?? Number.NaN)],
      ['Cash balance', format.money(kalshi.balance)],
      ['Open positions', format.integer(kalshi.positions)],
    ],
  }),
  anthropic: ({ components: { anthropic } }, format) => ({
    main: anthropic.totalSpend ?? anthropic.dailySpend,
    label: 'Spent in total',
    rest: [['Spent today (UTC)', format.money(anthropic.dailySpend)]],
  }),
  johns: ({ components: { johns } }, format) => ({
    main: johns.collected,
    label: 'Collected',
    rest: [
      ['Invoiced', format.money(johns.invoiced)],
      ['Still open', format.money(johns.invoiced - johns.collected)],
      ...(johns.pipeline === undefined ? [] : ([['In the pipeline', format.money(johns.pipeline)]] as const)),
    ],
  }),
};
