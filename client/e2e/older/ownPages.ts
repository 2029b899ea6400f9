/** Clients of our own in each older shape: they hold the state, connect again and fall back as the older ones do. */

import { CHART_DAYS, type OlderPage } from './stage';
import type { Watch } from './run';

const own = (file: string): OlderPage['program'] => ({ entry: `import './older/clients/${file}.jsx';` });

/** What `clients/board.jsx` shows: every chart with all its days, and no change that is no number. */
export const BOARD: Watch = { selector: '.reading', pattern: new RegExp(`^Net (-?\\d+\\.\\d\\d), -?\\d+\\.\\d\\d %, ${CHART_DAYS} days, [1-9]\\d* costs, [1-9]\\d* agents$`) };

export const OWN_PAGES: readonly OlderPage[] = [
  {
    name: 'the-ledger',
    program: own('ledgerPage'),
    networks: ['open', 'sse', 'polling'],
    polls: true,
    watch: { selector: '.ledger', pattern: /^Net (-?\d+\.\d\d) of trades -?\d+\.\d\d revenue \d+\.\d\d costs -\d+\.\d\d, \d+ deals, \d{13}$/ },
  },
  { name: 'charts', program: own('chartsPage'), networks: ['open'], watch: BOARD },
  { name: 'charts-over-socket-io', program: own('chartsSocketIo'), networks: ['open', 'sse', 'polling'], watch: BOARD },
  { name: 'printing', program: own('printing'), networks: ['open', 'sse', 'polling'], watch: { prefix: 'Net ', pattern: /^Net (-?\d+\.\d\d) \d+ (initial|stream|replay)$/ } },
  {
    name: 'hooks',
    program: own('hooksPage'),
    networks: ['open', 'sse', 'polling'],
    polls: true,
    watch: { selector: '.metrics', pattern: /^Net (-?\d+\.\d\d) with \d+ positions at \d{4}-\d\d-\d\dT\S+Z$/ },
  },
];
