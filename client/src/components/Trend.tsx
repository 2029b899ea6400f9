/** The third question: since when. Net P&L over the chosen range, exact values under the crosshair, and its export. */

import { useMemo, useState, type ReactElement } from 'react';
import { columns, rowIndex } from '../lib/chart';
import { download, fileName, toCsv } from '../lib/exports';
import { useFormatter, useTimeZone } from '../lib/preferences';
import { useTrend } from '../lib/useTrend';
import { pnlStore } from '../pnlStore';
import { RESOLUTION_MS, type Range } from '../store/trend';
import type { Resolution } from '../types/shapes';
import type { HistoryRow } from '../types/wire';
import { TimeChart } from './TimeChart';

const RANGES: readonly (readonly [Range, string])[] = [
  ['today', 'Today'],
  ['week', 'Week'],
  ['month', 'Month'],
  ['year', 'Year'],
];

/** The least that the time axis spans (s), so that a single point has a place. */
const LEAST_S: Record<Resolution, number> = { raw: 120, '1m': 600, '5m': 3_000, '1h': 36_000, '1d': 864_000 };

export function Trend(): ReactElement {
  const format = useFormatter();
  const timeZone = useTimeZone();
  const [range, setRange] = useState<Range>('today');
  const { rows, span, state } = useTrend(range, timeZone);
  const data = useMemo(() => columns(rows, RESOLUTION_MS[span.resolution]), [rows, span.resolution]);
  const [point, setPoint] = useState<number | null>(null);
  const rowAt = (index: number | null): HistoryRow | undefined => rows[index === null ? rows.length - 1 : rowIndex(rows, data[0][index])] ?? rows.at(-1);
  const daily = RESOLUTION_MS[span.resolution] >= RESOLUTION_MS['1d'];
  const when = (row: HistoryRow): string => {
    if (daily) return format.date(row.timestamp);
    if (range !== 'today') return format.dateTime(row.timestamp);
    return span.resolution === 'raw' ? format.time(row.timestamp) : format.minute(row.timestamp);
  };
  const describe = (index: number): string => {
    const row = rowAt(index);
    return row === undefined ? 'No figures' : `${when(row)}, net ${format.money(row.close)}`;
  };
  const label = RANGES.find(([name]) => name === range)?.[1] ?? range;
  return (
    <section className="card" aria-labelledby="trend">
      <div className="card-head">
        <h2 id="trend">Net P&amp;L over time</h2>
        <div className="card-tools">
          <div className="segments" role="group" aria-label="Range">
            {RANGES.map(([name, words]) => (
              <button key={name} type="button" aria-pressed={name === range} onClick={() => setRange(name)}>
                {words}
              </button>
            ))}
          </div>
          <Export rows={rows} range={range} />
        </div>
      </div>
      <Readout row={rowAt(point)} when={when} />
      <div className="chart">
        <TimeChart
          label={`Net P&L, ${label.toLowerCase()}`}
          data={data}
          least={LEAST_S[span.resolution]}
          format={format}
          describe={describe}
          onPoint={setPoint}
        />
        {rows.length === 0 && <p className="chart-note">{state === 'loading' ? 'Fetching the figures' : 'No figures in this range yet'}</p>}
      </div>
      <p className="chart-foot">
        <span data-testid="zone">
          Times in {timeZone.replaceAll('_', ' ')} ({format.zoneName})
        </span>
        {state === 'kept' && rows.length > 0 && <span className="warn">Only the last figures kept here; the range comes with the next connection</span>}
        {state === 'ready' && rows[0] !== undefined && rows[0].timestamp > span.from + RESOLUTION_MS[span.resolution] * 2 && (
          <span>Figures begin {format.dateTime(rows[0].timestamp)}</span>
        )}
      </p>
    </section>
  );
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
    </div>
  );
}

function Export({ rows, range }: { rows: readonly HistoryRow[]; range: Range }): ReactElement {
  const csv = (): void => download(fileName(range, Date.now(), 'csv'), 'text/csv;charset=utf-8', toCsv(rows));
  const json = (): void => {
    const { pnl, components } = pnlStore.getState();
    const shown = { range, exportedAt: new Date().toISOString(), snapshot: pnl, breakdown: components, rows };
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
