/** The client samples of the older documents, where those lie beside this checkout: read from the Markdown, mended where no server could make them work. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fences } from './markdown';

const FOLDER = process.env['OLDER_DOCUMENTS'] ?? new URL('../../../../shared/seeds/', import.meta.url).pathname;
export const DOCUMENTS_ARE_HERE = existsSync(FOLDER);

const DOCUMENTS = {
  architecture: 'data-pipeline-architecture.md',
  deployment: 'deployment-guide.md',
  readme: 'pnl-backend-readme.md',
  guide: 'websocket-integration-guide.md',
} as const;
export type Document = keyof typeof DOCUMENTS;

/** The program of this language under a heading, as printed. */
export function printed(document: Document, heading: string, language = 'javascript'): string {
  const found = fences(readFileSync(join(FOLDER, DOCUMENTS[document]), 'utf8')).filter((fence) => fence.heading === heading && fence.language === language);
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} programs in ${language} under "${heading}" of ${DOCUMENTS[document]}`);
  return found[0].code;
}

/** A printed line that fails with any server, and what does what it was meant to do. */
export interface Repair {
  readonly line: string;
  readonly instead: string;
}

export const REPAIRS = {
  componentName: { line: 'const P&LDashboard = () => {', instead: 'const PnLDashboard = () => {' },
  netFigure: { line: '${pnl.netP&L.toFixed(2)}', instead: '${pnl.netPnL.toFixed(2)}' },
  streamCall: { line: '        connectSSE();', instead: '        connectSSE(setPnl);' },
  streamFunction: { line: 'function connectSSE() {', instead: 'function connectSSE(setPnl) {' },
  pollingCall: { line: '    connectPolling();', instead: '    connectPolling(setPnl);' },
  pollingFunction: { line: 'function connectPolling() {', instead: 'function connectPolling(setPnl) {' },
  componentImport: { line: "import P&LDashboard from './components/P&LDashboard';", instead: "import PnLDashboard from './components/P&LDashboard';" },
  componentUse: { line: '<P&LDashboard wsUrl="ws://localhost:8080" />', instead: '<PnLDashboard wsUrl="ws://localhost:8080" />' },
  effectImport: { line: "import { usePnLSocket, usePnLMetrics } from './pnlStore';", instead: "import { useEffect } from 'react';\nimport { usePnLSocket, usePnLMetrics } from './pnlStore';" },
} as const satisfies Record<string, Repair>;

/** Every repair must meet a line that is printed. */
export function mended(code: string, repairs: readonly Repair[]): string {
  return repairs.reduce((text, { line, instead }) => replaced(text, line, instead), code);
}

/** The text with the only place of `part` replaced. */
export function replaced(text: string, part: string, by: string): string {
  const pieces = text.split(part);
  if (pieces.length !== 2) throw new Error(`"${part}" stands ${pieces.length - 1} times in\n${text}`);
  return pieces.join(by);
}

/** The statement of `code` from the line that begins with `start` to the first line that is just `end`, at the same depth. */
export function statement(code: string, start: string, end = '};'): string {
  const lines = code.split('\n');
  const first = lines.findIndex((line) => line.trimStart().startsWith(start));
  const depth = /^\s*/.exec(lines[first] ?? '')?.[0] ?? '';
  const last = lines.findIndex((line, i) => i > first && line === depth + end);
  if (first < 0 || last < 0) throw new Error(`no statement "${start}" in\n${code}`);
  return lines.slice(first, last + 1).join('\n');
}
