/** Net P&L over the chosen range, exact values under the crosshair, and its export. */

import { useMemo, useState, type ReactElement } from 'react';
import { type HistoryRow, pnlStore, type Range, type Resolution, RESOLUTION_MS, type TrendState, usePnLStore } from 'pnl-client';
import { columns, rowIndex } from '../lib/chart';
import { download, fileName, toCsv } from '../lib/exports';
import { duration } from '../lib/format';
import { useDayFormatter, useFormatter, useTimeZone } from '../lib/preferences';
import { chooseRange, useRange } from '../lib/route';
import { rowMarks } from '../lib/provenance';
import { useBusinessZone } from '../lib/useBusinessZone';
import { useNow } from '../lib/useNow';
import { useTrend } from '../lib/useTrend';
import { TimeChart } from './TimeChart';

const WORDS: readonly (readonly [Range, string])[] = [
  ['today', 'Today'],
  ['week', 'Week'],
  ['month', 'Month'],
  ['year', 'Year'],
];

/** The least that the time axis spans (s), so that a single point has a place. */
const LEAST_S: Record<Resolution, number> = { raw: 120, '1m': 600, '5m': 3_000, '15m': 9_000, '1h': 36_000, '4h': 144_000, '1d': 864_000, '1w': 6_048_000 };

export function Trend(): ReactElement {
  const format = useFormatter();
  const { zone } = useBusinessZone();
  const days = useDayFormatter(zone);
  const range = useRange();
  const trend = useTrend(range);
  const { rows, span } = trend;
  const data = useMemo(() => columns(rows, RESOLUTION_MS[span.resolution]), [rows, span.resolution]);
  const [point, setPoint] = useState<number | null>(null);
  const rowAt = (index: number | null): HistoryRow | undefined => rows[index === null ? rows.length - 1 : rowIndex(rows, data[0][index])] ?? rows.at(-1);
  const daily = RESOLUTION_MS[span.resolution] >= RESOLUTION_MS['1d'];
  const when = (row: HistoryRow): string => {
    if (daily) return days.date(row.timestamp);
    if (range !== 'today') return format.dateTime(row.timestamp);
    return span.resolution === 'raw' ? format.time(row.timestamp) : format.minute(row.timestamp);
  };
  const describe = (index: number): string => {
    const row = rowAt(index);
    return row === undefined ? 'No figures' : [when(row), `net ${format.money(row.close)}`, ...rowMarks(row)].join(', ');
  };
  const label = WORDS.find(([name]) => name === range)?.[1] ?? range;
  return (
    <section className="card" aria-labelledby="trend">
      <div className="card-head">
        <h2 id="trend">Net P&amp;L over time</h2>
        <div className="card-tools">
          <div className="segments" role="group" aria-label="Range">
            {WORDS.map(([name, words]) => (
              <button key={name} type="button" aria-pressed={name === range} onClick={() => chooseRange(name)}>
                {words}
              </button>
            ))}
          </div>
          <Export rows={rows} range={range} daysOf={daily ? zone : null} />
        </div>
      </div>
      <Readout row={rowAt(point)} when={when} />
      <div className="chart">
        <TimeChart
          label={`Net P&L, ${label.toLowerCase()}`}
          data={data}
          least={LEAST_S[span.resolution]}
          format={daily ? days : format}
          describe={describe}
          onPoint={setPoint}
        />
        {rows.length === 0 && <p className="chart-note">{emptyNote(trend)}</p>}
      </div>
      <Foot trend={trend} daily={daily} />
    </section>
  );
}

function emptyNote({ state, failure }: TrendState): string {
  if (failure !== null) return 'The figures of this range are not here yet';
  return state === 'loading' ? 'Fetching the figures' : 'No figures in this range yet';
}

/** Which zones the chart is in, where it begins, and what is wrong with it. */
function Foot({ trend: { rows, span, state, failure }, daily }: { trend: TrendState; daily: boolean }): ReactElement {
  const format = useFormatter();
  const timeZone = useTimeZone();
  const { zone, stated } = useBusinessZone();
  const days = useDayFormatter(zone);
  const connected = usePnLStore((store) => store.connected);
  const first = rows[0];
  const late = state === 'ready' && first !== undefined && first.timestamp > span.from + RESOLUTION_MS[span.resolution] * 2;
  return (
    <>
      {failure !== null && <Failed failure={failure} shown={rows.length > 0} />}
      <p className="chart-foot">
        <span data-testid="zone">
          {!daily && `Times in ${named(timeZone, format.zoneName)}. `}
          Days in {named(zone, stated ? days.zoneName : 'assumed')}
        </span>
        {state === 'kept' && rows.length > 0 && failure === null && (
          <span className="warn">{connected ? 'The last figures kept here; fetching the range' : 'Only the last figures kept here; the range comes with the next connection'}</span>
        )}
        {rows.some((row) => row.restated) && (
          <span className="warn" data-testid="restated">
            Some figures were found wrong later; they are shown as they were published
          </span>
        )}
        {late && <span>Figures begin {daily ? days.date(first.timestamp) : format.dateTime(first.timestamp)}</span>}
      </p>
    </>
  );
}

/** The request was refused or got no answer. */
function Failed({ failure, shown }: { failure: NonNullable<TrendState['failure']>; shown: boolean }): ReactElement {
  const now = useNow();
  const next = failure.nextTryAt === null ? '' : ` Trying again in ${duration(failure.nextTryAt - now)}.`;
  return (
    <p className="chart-failure" data-testid="trend-failure">
      The range could not be fetched: {failure.message.replace(/[.\s]+$/, '')}.{shown && ' What is here stays.'}
      {next}
    </p>
  );
}

/** "Europe/Berlin (GMT+1)"; a zone without an offset in its name is its name only. */
function named(zone: string, name: string): string {
  return zone === name ? zone : `${zone.replaceAll('_', ' ')} (${name})`;
}

function Readout({ row, when }: { row: HistoryRow | undefined; when: (row: HistoryRow) => string }): ReactElement {
  const format = useFormatter();
  if (row === undefined) return <div className="readout" />;
  return (
    <div className="readout" data-testid="readout">
      <strong>{format.money(row.close)}</strong>
      <span>{when(row)}</span>
      <span>
        Kalshi <b>{format.signedMoney(row.kalshiPnL)}</b>
      </span>
      <span>
        Collected <b>{format.signedMoney(row.revenue)}</b>
      </span>
      <span>
        Costs <b>{format.signedMoney(-row.costs)}</b>
      </span>
      {rowMarks(row).map((mark) => (
        <span key={mark} className="warn" data-testid="row-mark">
          {mark}
        </span>
      ))}
    </div>
  );
}

/** `daysOf`: the rows are days of this zone. */
function Export({ rows, range, daysOf }: { rows: readonly HistoryRow[]; range: Range; daysOf: string | null }): ReactElement {
  const csv = (): void => download(fileName(range, Date.now(), 'csv'), 'text/csv;charset=utf-8', toCsv(rows, daysOf));
  const json = (): void => {
    const { pnl, components, server } = pnlStore.getState();
    const businessTimezone = server?.businessTimezone ?? null;
    const shown = { range, exportedAt: new Date().toISOString(), businessTimezone, snapshot: pnl, breakdown: components, rows };
    download(fileName(range, Date.now(), 'json'), 'application/json', JSON.stringify(shown, null, 2));
  };
  return (
    <div className="export" role="group" aria-label="Export what is shown">
      <button type="button" className="button" disabled={rows.length === 0} onClick={csv}>
        CSV
      </button>
      <button type="button" className="button" disabled={rows.length === 0} onClick={json}>
        JSON
      </button>
    </div>
  );
}
