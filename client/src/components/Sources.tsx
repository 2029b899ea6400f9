/** One card for each source, with the origin of its figures and their age. */

import { useId, type ReactElement } from 'react';
import { furtherSources, knownSnapshot, type BreakerState, type CardRow, type MaybeSnapshot, type Snapshot, type SourceCard, type SourceName, usePnLMetrics, usePnLStore } from 'pnl-client';
import { duration, type Formatter } from '../lib/format';
import { useFormatter } from '../lib/preferences';
import { BREAKER_OF, provenance, SOURCE_NAMES, stateOf, type Trust, verifiedWord } from '../lib/provenance';
import { useNow } from '../lib/useNow';
import { breakerWord } from '../lib/words';
import { Estimate, Figure } from './Figure';

const TONES: Record<Trust, string> = { live: 'gain', simulated: 'accent', estimate: 'warn', importing: 'warn', cached: 'warn', other: 'loss', degraded: 'loss' };
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
          <KnownSource key={name} name={name} pnl={pnl} snapshot={snapshot} />
        ))}
        {furtherSources(pnl).map((name) => (
          <FurtherSource key={name} name={name} pnl={pnl} snapshot={snapshot} />
        ))}
      </div>
    </section>
  );
}

interface SourceProps {
  name: string;
  pnl: MaybeSnapshot;
  snapshot: Snapshot | null;
}

function KnownSource({ name, pnl, snapshot }: SourceProps & { name: SourceName }): ReactElement {
  return <Source name={name} title={SOURCE_NAMES[name]} service={BREAKER_OF[name]} snapshot={snapshot} figures={FIGURES[name](pnl, useFormatter())} />;
}

/** A source that this page does not know by name, shown as the server describes it. */
function FurtherSource({ name, pnl, snapshot }: SourceProps): ReactElement {
  const format = useFormatter();
  const card = usePnLStore((state) => state.system.sources?.find((source) => source.name === name));
  const component = (pnl.components as Partial<Record<string, Record<string, unknown>>>)[name] ?? {};
  return <Source name={name} title={card?.label ?? name} service={card?.service ?? name} snapshot={snapshot} figures={describedFigures(component, card, format)} />;
}

interface CardProps {
  name: string;
  title: string;
  service: string;
  snapshot: Snapshot | null;
  figures: SourceFigures;
}

function Source({ name, title, service, snapshot, figures }: CardProps): ReactElement {
  const format = useFormatter();
  const now = useNow();
  const tip = useId();
  const receivedAt = usePnLStore((state) => state.receivedAt);
  const breaker = usePnLStore((state) => (state.system.breakers?.services as Partial<Record<string, BreakerState>> | undefined)?.[service]);
  const known = snapshot !== null && !snapshot.degraded.includes(name);
  const origin = snapshot && provenance(name, snapshot, receivedAt === null ? null : Math.max(0, now - receivedAt), breaker, format, title);
  const state = snapshot ? stateOf(snapshot, name) : null;
  const { tier, notes = [], estimated } = state ?? {};
  const verified = state && verifiedWord(state, format);
  return (
    <article className="card source" aria-label={title} data-source={name}>
      <div className="card-head">
        <h3>{title}</h3>
        {origin && (
          <button type="button" className={`pill is-${TONES[origin.trust]}`} aria-describedby={tip}>
            {origin.word}
            <span className="tip" role="tooltip" id={tip}>
              {[`As of ${origin.asOf}`, `Tier: ${tier}`].join('\n')}
            </span>
          </button>
        )}
      </div>
      {figures.main !== null && <p className="source-main">{known ? <Figure value={figures.main} /> : '—'}{known && estimated && <Estimate />}</p>}
      {figures.label && <p>{figures.label}</p>}
      <dl className="pairs">
        {figures.rest.map(([label, value]) => (
          <div key={label} className="pair">
            <dt>{label}</dt>
            <dd>{known ? value : '—'}</dd>
          </div>
        ))}
        {verified !== null && (
          <div className="pair">
            <dt>Checked twice</dt>
            <dd data-testid="verified">{verified}</dd>
          </div>
        )}
      </dl>
      {origin?.sentence && <p className={`source-sentence is-${origin.trust}`}>{origin.sentence}</p>}
      {notes.length > 0 && (
        <ul className="source-notes">
          {notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
      {origin && (
        <p className="source-foot">
          <span>
            {origin.asOf}
            {origin.ageMs !== null && `, ${duration(origin.ageMs)} old`}
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
  /** Null where the card has no sum of money at its top. */
  main: number | null;
  label: string;
  rest: readonly (readonly [string, string])[];
}

/** The figures in the rows that the server describes; until it has, every figure under its own name. */
function describedFigures(component: Record<string, unknown>, card: SourceCard | undefined, format: Formatter): SourceFigures {
  const rows = card?.rows ?? Object.keys(component).map((field): CardRow => ({ field, label: field, format: 'text' }));
  const [first, ...rest] = rows.map(({ field, label, format: kind }) => ({ label, kind, value: component[field] }));
  const leads = first?.kind === 'usd' && typeof first.value === 'number';
  return {
    main: leads ? (first.value as number) : null,
    label: leads ? first.label : '',
    rest: [...(first === undefined || leads ? [] : [first]), ...rest].map(({ label, kind, value }) => [label, shown(kind, value, format)]),
  };
}

function shown(kind: CardRow['format'], value: unknown, format: Formatter): string {
  if (value === null || value === undefined) return '—';
  if (typeof value === 'number') return kind === 'count' ? format.integer(value) : kind === 'usd' ? format.money(value) : String(value);
  if (typeof value === 'object') return Object.entries(value).map(([name, number]) => `${name} ${String(number)}`).join(', ') || '—';
  return String(value);
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
