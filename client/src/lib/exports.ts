/** Files made in the page from the rows that are shown, also offline. */

import { dateIn, type HistoryRow } from 'pnl-client';

const COLUMNS = ['timestamp', 'netPnL', 'kalshiPnL', 'costs', 'revenue', 'open', 'high', 'low', 'close', 'count'] as const;

/** Columns at the end: names parted by spaces, then true or false. */
const MARKS = ['degraded', 'estimated', 'complete', 'restated'] as const;

/** RFC 4180, times as ISO 8601 UTC. `daysOf`: the rows are days of this zone, and a column before the marks holds their dates. */
export function toCsv(rows: readonly HistoryRow[], daysOf: string | null = null): string {
  const lines = rows.map((row) => {
    const cells = COLUMNS.map((column) => (column === 'timestamp' ? new Date(row.timestamp).toISOString() : String(row[column] ?? '')));
    const marks = [(row.degraded ?? []).join(' '), row.estimated === true, row.complete !== false, row.restated === true].map(String);
    return [...cells, ...(daysOf === null ? [] : [dateIn(row.timestamp, daysOf)]), ...marks].join(',');
  });
  return [[...COLUMNS, ...(daysOf === null ? [] : ['date']), ...MARKS].join(','), ...lines, ''].join('\r\n');
}

export function download(name: string, type: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** `pnl-today-20260225T222400Z.csv` */
export function fileName(what: string, at: number, extension: string): string {
  return `pnl-${what}-${new Date(at).toISOString().replace(/[-:]|\.\d+/g, '')}.${extension}`;
}
