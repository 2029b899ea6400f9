/** Starts the page: theme first, then React, then the service worker, with which it opens offline. */

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { configurePnLStore, pnlStore } from 'pnl-client';
import './styles/tokens.css';
import './styles/base.css';
import './styles/frame.css';
import './styles/blocks.css';
import './styles/chart.css';
import './styles/pills.css';
import './styles/tables.css';
import './styles/dialogs.css';
import './styles/small.css';
import { App } from './App';
import { Boundary } from './components/Boundary';
import { applyTheme } from './lib/preferences';

const { VITE_API_URL, VITE_WS_URL, VITE_WS_SECURE } = import.meta.env;
configurePnLStore({ apiUrl: VITE_API_URL, wsUrl: VITE_WS_URL, wsSecure: VITE_WS_SECURE });
applyTheme(document.documentElement);
window.addEventListener('pagehide', pnlStore.flush);

const root = document.getElementById('root');
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <Boundary name="The dashboard">
        <App />
      </Boundary>
    </StrictMode>,
  );
}

if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  void navigator.serviceWorker.register('/sw.js').catch(() => undefined); // Without it the page works, only not offline.
}
