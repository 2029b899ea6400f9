/** A page for each client sample of the older documents: what is printed, and around it what the documents leave to the reader. */

import { mended, printed, REPAIRS, replaced, statement } from './documents';
import { BOARD } from './ownPages';
import type { OlderPage } from './stage';

const SHOW_APP = `
  import { createRoot } from 'react-dom/client';
  import App from './App';
  createRoot(document.getElementById('root')).render(<App />);`;
/** As docs/clients/older.md has it. */
const STORE = { './pnlStore': "export * from 'pnl-client';" };
/** The `.env` of the guide for a server without TLS; Vite puts the values in as texts. */
const GUIDE_ENV = { 'import.meta.env.VITE_WS_URL': '"ws://localhost:8080/pnl-stream"', 'import.meta.env.VITE_WS_SECURE': '""' };
const { componentName, netFigure, streamCall, streamFunction, pollingCall, pollingFunction, componentImport, componentUse, effectImport } = REPAIRS;

export const DASHBOARD_REPAIRS = [componentName, netFigure, streamCall, streamFunction, pollingCall, pollingFunction];

/** The architecture's component, in the deployment guide's App with its style sheet. */
export function dashboardPage(name: string, repairs: typeof DASHBOARD_REPAIRS = DASHBOARD_REPAIRS): OlderPage {
  const component = mended(printed('architecture', '5.2 Client-Side (React)'), repairs);
  return {
    name,
    program: {
      entry: SHOW_APP,
      files: {
        './App': mended(printed('deployment', '3.3 Update `src/App.js`'), [componentImport, componentUse]),
        './components/P&LDashboard': `${component}\nexport default PnLDashboard;`,
      },
    },
    style: printed('deployment', '3.2 Create CSS', 'css'),
    networks: ['open', 'sse', 'polling'],
    polls: true,
    watch: {
      selector: '.pnl-card',
      pattern: /^Net P&L: \$(-?\d+\.\d\d)Kalshi Trades: \$-?\d+\.\d\dRevenue: \$\d+\.\d\dCosts: \$-\d+\.\d\dUpdated: \d+:\d\d:\d\d [AP]M$/,
    },
    says: /^error: WebSocket error, attempting fallback\.\.\.$/,
  };
}

/** The README's App on this project's store. */
export function hooksPage(name: string, repairs: readonly (typeof effectImport)[] = [effectImport]): OlderPage {
  const app = mended(printed('readme', 'Setup Zustand Store'), repairs);
  return {
    name,
    program: { entry: SHOW_APP, files: { ...STORE, './App': `${app}\nexport default App;` } },
    networks: ['open', 'sse', 'polling'],
    polls: true,
    watch: { selector: '#root > div', pattern: /^P&L: \$(-?\d+(?:\.\d+)?)$/ },
  };
}

/** The list of imports under "Use Custom Hooks": it is to be bundled, there is nothing to run. */
export const importsOfHooks = (): OlderPage['program'] => ({ entry: "import './imports';", files: { ...STORE, './imports': printed('readme', 'Use Custom Hooks') } });

export function samplePages(): OlderPage[] {
  return [dashboardPage('dashboard'), resilientPage(), hooksPage('readme-hooks'), printingPage(), ...guidePages()];
}

/** The README's four pieces, one after another as they are printed. */
function printingPage(): OlderPage {
  const pieces = ['Connection', 'Subscribe to P&L Updates', 'Subscribe to Component Updates', 'Error Handling'].map((heading) => printed('readme', heading));
  return {
    name: 'readme-socket-io',
    program: { entry: ["import { io } from 'socket.io-client';", ...pieces].join('\n') },
    networks: ['open', 'sse', 'polling'],
    watch: { prefix: 'P&L Update:', pattern: /^P&L Update: \{totalRevenue: -?\d+(?:\.\d+)?, totalExpenses: \d+(?:\.\d+)?, netPnL: (-?\d+(?:\.\d+)?),/ },
  };
}

/** The architecture's reconnecting class, with the two methods filled in that it leaves to the reader. */
function resilientPage(): OlderPage {
  const filled = `
    const show = (ledger) => (document.getElementById('root').innerHTML = '<p>Net ' + ledger.netPnL.toFixed(2) + ' at ' + ledger.timestamp + '</p>');
    const poll = () => fetch('/api/pnl/current').then((response) => response.json()).then((ledger) => show({ ...ledger, timestamp: Date.parse(ledger.timestamp) }));
    class Filled extends ResilientConnection {
      tryWebSocket() {
        return new Promise((resolve, reject) => {
          const ws = new WebSocket('ws://localhost:8080');
          ws.onmessage = (event) => show(JSON.parse(event.data).data);
          ws.onerror = reject;
          ws.onopen = () => {
            ws.onclose = () => this.connect();
            resolve();
          };
        });
      }
      usePolling() {
        setInterval(poll, 30000);
      }
    }
    void new Filled().connect();`;
  return {
    name: 'resilient',
    program: { entry: printed('architecture', '7.2 Reconnection Logic') + filled },
    networks: ['open', 'polling'],
    polls: true,
    watch: { selector: '#root > p', pattern: /^Net (-?\d+\.\d\d) at \d{13}$/ },
  };
}

/** The integration guide's App: as printed, with its reconnection, with each of its two ways to slow down, and over Socket.IO. */
function guidePages(): OlderPage[] {
  const step = printed('guide', 'Step 2: Update App.jsx', 'jsx');
  const handler = statement(step, 'ws.onmessage');
  const throttle = replaced(printed('guide', 'Throttle High-Frequency Updates'), '// Process update...', 'updateDashboard(data);');
  const socketIo = `
    useEffect(() => {
      const ws = {};
      ${handler}
      const socket = io('http://localhost:8080');
      socket.on('connect', () => socket.emit('subscribe_dashboard'));
      socket.on('pnl-update', (update) => ws.onmessage({ data: JSON.stringify(update) }));
      return () => socket.disconnect();
    }, []);`;
  return [
    { ...guidePage('guide-app', step), networks: ['open'], says: /^error: ❌ WebSocket error: / },
    { ...guidePage('guide-reconnecting', reconnecting(handler)), networks: ['open'] },
    { ...guidePage('guide-throttled', reconnecting(throttle)), networks: ['open'] },
    { ...guidePage('guide-batched', reconnecting(printed('guide', 'Batch Updates'))), networks: ['open'] },
    { ...guidePage('guide-over-socket-io', socketIo), networks: ['open', 'sse', 'polling'] },
  ];

  function reconnecting(messages: string): string {
    const addresses = step.split('\n').filter((line) => /^\s*const ws(Protocol|Url) =/.test(line));
    return [...addresses, replaced(printed('guide', 'Reconnection Logic', 'jsx'), '// Handle messages...', messages)].join('\n');
  }
}

/** An App that has what the guide's pieces set, and shows it; without the indicator where a piece has no state of the connection. */
function guidePage(name: string, piece: string): Omit<OlderPage, 'networks'> {
  const indicator = piece.includes('connectionStatus') ? printed('guide', 'Loading States', 'jsx') : '';
  const app = `
    import { useEffect, useState } from 'react';
    import { io } from 'socket.io-client';
    import { Board } from './older/clients/board.jsx';

    export default function App() {
      const [pnlData, setPnlData] = useState(null);
      const [trendsData, setTrendsData] = useState([]);
      const [costBreakdown, setCostBreakdown] = useState([]);
      const [agentAttribution, setAgentAttribution] = useState([]);
      function updateDashboard(data) {
        setPnlData(data);
        setTrendsData(data.trendsData);
        setCostBreakdown(data.costBreakdown);
        setAgentAttribution(data.agentAttribution);
      }
      ${piece}
      return (
        <>
          ${indicator}
          <Board figures={pnlData} trends={trendsData} costs={costBreakdown} agents={agentAttribution} />
        </>
      );
    }`;
  return { name, program: { entry: SHOW_APP, files: { './App': app }, define: GUIDE_ENV }, watch: BOARD };
}
